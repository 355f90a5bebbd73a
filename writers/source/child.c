#include "writers/source/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { PIPE_BYTES = 1 << 20 };

extern char **environ;

/* Everybody's environment but what opens our store. */
static bool is_secret(const char *variable)
{
    static const char *const secrets[] = {"YORE_PASSWORD="};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strncmp(variable, secrets[i], strlen(secrets[i])) == 0)
            return true;
    return false;
}

static enum err environment_copy(char ***ret_environment)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for an environment");
    for (size_t i = 0; i < count; i++)
        if (!is_secret(environ[i]))
            copy[kept++] = environ[i];
    *ret_environment = copy;
    return ERR_OK;
}

/* Returns an errno value. The child gets signals as a shell would give them, whatever we do with
 * ours. */
static int spawn(char *const *argv, char *const *environment, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, back;
    sigemptyset(&none);
    sigemptyset(&back);
    sigaddset(&back, SIGPIPE);
    int e = posix_spawn_file_actions_init(&files);
    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attributes);
    if (e == 0) {
        e = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
        if (e == 0)
            e = posix_spawnattr_setsigmask(&attributes, &none);
        if (e == 0)
            e = posix_spawnattr_setsigdefault(&attributes, &back);
        if (e == 0)
            e = posix_spawnattr_setflags(&attributes,
                                         POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (e == 0)
            e = posix_spawnp(ret_pid, argv[0], &files, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return e;
}

enum err child_start(char *const *argv, struct child *ret_child)
{
    struct child child = CHILD_NONE;
    snprintf(child.name, sizeof child.name, "%s", argv[0]);
    AUTO_MEM char **environment = NULL;
    TRY(environment_copy(&environment));
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno("cannot make a pipe");
    AUTO_FD reading = ends[0];
    AUTO_FD writing = ends[1];
    (void)fcntl(reading, F_SETPIPE_SZ,
                PIPE_BYTES); /* fewer switches between us and it; no matter if refused */
    int number = spawn(argv, environment, writing, &child.pid);
    if (number != 0) {
        errno = number;
        (void)err_errno("cannot run %s", child.name);
        return ERR_IO;
    }
    child.output = reading;
    reading = -1;
    *ret_child = child;
    return ERR_OK;
}

static void output_close(struct child *child)
{
    if (child->output >= 0)
        close(child->output);
    child->output = -1;
}

enum err child_finish(struct child *child)
{
    output_close(child);
    int status;
    pid_t got;
    do
        got = waitpid(child->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    child->pid = 0;
    if (got < 0) {
        (void)err_errno("cannot learn how %s ended", child->name);
        return ERR_IO;
    }
    if (WIFSIGNALED(status))
        return err_set(ERR_IO, "%s was ended by signal %d (%s)", child->name, WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return err_set(ERR_IO, "%s ended with status %d", child->name, WEXITSTATUS(status));
    return ERR_OK;
}

void child_clear(struct child *child)
{
    output_close(child);
    if (child->pid <= 0)
        return;
    (void)kill(child->pid, SIGTERM);
    for (int tries = 0; tries < 100; tries++) {
        if (waitpid(child->pid, NULL, WNOHANG) != 0) {
            child->pid = 0;
            return;
        }
        struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
    child->pid = 0;
}
