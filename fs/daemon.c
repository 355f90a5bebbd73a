/* fs.h: going to the background, and telling the parent when the mount answers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fs/fs.h"

static void to_null(int fd, int flags)
{
    AUTO_FD null = open("/dev/null", flags | O_CLOEXEC);
    if (null >= 0)
        dup2(null, fd);
}

/* The parent: until the child says something, or ends. */
static enum err wait_for(int fd, pid_t child)
{
    struct err_note note;
    size_t got = 0;
    TRY(read_full(fd, &note, sizeof note, &got));
    if (got == sizeof note)
        return err_raise(&note);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return err_set(ERR_IO, "the mounting process was ended by signal %d", WTERMSIG(status));
    return err_set(ERR_IO, "the mounting process ended without a word, status %d",
                   WEXITSTATUS(status));
}

enum err fs_daemonize(struct fs_waiter *ret_waiter, bool *ret_is_parent)
{
    int ends[2];
    *ret_waiter = FS_WAITER_NONE;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno("cannot make a pipe");
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return err_errno("cannot start the mounting process");
    }
    *ret_is_parent = child > 0;
    close(ends[child > 0 ? 1 : 0]);
    if (child > 0) {
        AUTO_FD ear = ends[0];
        return wait_for(ear, child);
    }
    setsid();
    to_null(STDIN_FILENO, O_RDONLY);
    ret_waiter->fd = ends[1];
    return ERR_OK;
}

void fs_waiter_report(struct fs_waiter *waiter, enum err code)
{
    if (!waiter || waiter->fd < 0)
        return;
    struct err_note note = {.code = ERR_OK};
    if (code != ERR_OK)
        err_take(code, &note);
    /* A parent that is gone is no reason to stop. */
    signal(SIGPIPE, SIG_IGN);
    (void)!write_full(waiter->fd, slice_of(&note, sizeof note));
    close(waiter->fd);
    waiter->fd = -1;
    /* The parent speaks from here on: who waits for its output must not wait for us, nor read all
     * twice. */
    to_null(STDOUT_FILENO, O_WRONLY);
    to_null(STDERR_FILENO, O_WRONLY);
}
