#include "writers/pipeline/stop.h"

void stop_init(struct stop *stop)
{
    *stop = (struct stop){.set = false};
    pthread_mutex_init(&stop->lock, NULL);
}

void stop_clear(struct stop *stop)
{
    pthread_mutex_destroy(&stop->lock);
}

enum err stop_set(struct stop *stop, enum err code)
{
    if (code == ERR_OK)
        return ERR_OK;
    pthread_mutex_lock(&stop->lock);
    if (!stop->set) {
        err_take(code, &stop->note);
        (void)err_raise(&stop->note); /* the caller still passes it on */
        stop->set = true;
    }
    pthread_mutex_unlock(&stop->lock);
    return code;
}

enum err stop_check(struct stop *stop)
{
    return stop->set ? err_raise(&stop->note) : ERR_OK;
}
