/* Processes: the service manager's socket, sockets handed over at a start, and the start of a successor. */
#ifndef CLINUX_PROCESS_H
#define CLINUX_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Sends one datagram to a service manager (sd_notify(3)): the socket is a path, or an abstract name behind '@'. 0 or -errno. */
int clinux_notify(const char *socket, const char *message, size_t count);

/* Whether `fd` is a stream socket that listens. */
int clinux_is_listening(int fd);
/* Whether the socket shares its port (SO_REUSEPORT). */
int clinux_shares_port(int fd);
/* Non-blocking and close-on-exec, as every descriptor of ours; TCP_NODELAY where it is TCP. 0 or -errno. */
int clinux_adopt_listener(int fd);
int clinux_close_on_exec(int fd);

/* Keeps SIGHUP, SIGUSR1 and SIGUSR2 pending, which would end a process that does not know them yet. */
void clinux_hold_signals(void);

/* A pipe whose ends are close-on-exec; the reading end does not block. */
int clinux_pipe(int ends[2]);

/* A process to be started. */
struct clinux_program {
    const char *path;
    char *const *arguments;     /* NULL at the end */
    char *const *environment;   /* NULL at the end */
    /* Places in strings of `environment`, each with room for 20 bytes, where the new process's id is written. */
    char *const *process_ids;
    int process_id_count;
    /* Become the descriptors 3, 4, … of the new process. */
    const int *descriptors;
    int descriptor_count;
    /* Room for as many numbers again. */
    int *scratch;
};

/* Starts it, with only those signals blocked. Its id, or -errno; a program that cannot be executed ends with status 127. */
pid_t clinux_start(const struct clinux_program *program);

/* What became of a child: 1 and its wait status once it has ended, 0 while it runs, -errno. */
int clinux_child_status(pid_t pid, int *status);
/* Waits for its end. */
void clinux_await_child(pid_t pid);
/* `NAME=value` each, NULL at the end. */
char *const *clinux_environment(void);

/* Gives memory that is free back to the kernel (malloc_trim(3)). */
void clinux_trim_memory(void);

#endif
