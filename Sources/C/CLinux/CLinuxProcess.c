#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int answer(int result) { return result < 0 ? -errno : result; }

int clinux_notify(const char *name, const char *message, size_t count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length < 2 || length >= sizeof address.sun_path) return -EINVAL;
    memcpy(address.sun_path, name, length);
    if (address.sun_path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    ssize_t n;
    do n = sendto(fd, message, count, MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int option(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

int clinux_is_listening(int fd) { return option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1; }
int clinux_shares_port(int fd) { return option(fd, SOL_SOCKET, SO_REUSEPORT) == 1; }

int clinux_close_on_exec(int fd) { return answer(fcntl(fd, F_SETFD, FD_CLOEXEC)); }

int clinux_adopt_listener(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    int domain = option(fd, SOL_SOCKET, SO_DOMAIN), on = 1;
    if (domain == AF_INET || domain == AF_INET6) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return clinux_close_on_exec(fd);
}

int clinux_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

void clinux_hold_signals(void) {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGUSR1);
    sigaddset(&held, SIGUSR2);
    sigprocmask(SIG_BLOCK, &held, NULL);
}

static void write_number(char *to, long number) {
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0) *to++ = digits[--n];
    *to = 0;
}

/* In the child, where only what is safe in a signal handler may be called. */
static void become(const struct clinux_program *program) {
    int above = 3 + program->descriptor_count;
    for (int i = 0; i < program->process_id_count; i++) write_number(program->process_ids[i], (long)getpid());
    /* Out of the way first: a source may stand where another one has to go. They end with exec. */
    int *moved = program->scratch;
    for (int i = 0; i < program->descriptor_count; i++) {
        moved[i] = fcntl(program->descriptors[i], F_DUPFD_CLOEXEC, above);
        if (moved[i] < 0) _exit(126);
    }
    for (int i = 0; i < program->descriptor_count; i++) {
        if (dup2(moved[i], 3 + i) < 0) _exit(126);
    }
    /* Those that mean "reload" or "rotate" wait until the new process can read them; others would end it. */
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGUSR1);
    sigaddset(&held, SIGUSR2);
    sigprocmask(SIG_SETMASK, &held, NULL);
    execve(program->path, program->arguments, program->environment);
    _exit(127);
}

pid_t clinux_start(const struct clinux_program *program) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) become(program);
    return child;
}

int clinux_child_status(pid_t pid, int *status) {
    pid_t ended;
    do ended = waitpid(pid, status, WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended < 0) return -errno;
    return ended == pid ? 1 : 0;
}

void clinux_await_child(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
}

char *const *clinux_environment(void) { return environ; }

void clinux_trim_memory(void) { malloc_trim(0); }
