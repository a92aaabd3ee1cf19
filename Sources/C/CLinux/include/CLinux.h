/* What Glibc's Swift module leaves out: epoll, eventfd, accept4, and calls whose arguments Swift would have to allocate. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "CLinuxProcess.h"

/* Each returns what the system call returned, or -errno. None restarts after a signal, but where said. */
int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_remove(int epoll, int fd);
/* A signal counts as "nothing happened". */
int clinux_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms);
static inline uint64_t clinux_event_data(const struct epoll_event *event) { return event->data.u64; }

int clinux_eventfd(void);
void clinux_eventfd_signal(int fd);
void clinux_eventfd_clear(int fd);

/* An address as Swift hands it about: family 4 (IPv4), 6 (IPv6) or 1 (Unix). */
struct clinux_address {
    uint8_t family;
    uint16_t port;
    uint64_t high, low;   /* IPv4 as IPv4-mapped IPv6 */
    uint32_t scope;
    char path[108];       /* Unix: as given, NUL-terminated */
};

/* A listening socket: non-blocking, close-on-exec, SO_REUSEADDR; SO_REUSEPORT where asked for. The file of a Unix socket gets
   `mode`, less the process's umask. */
int clinux_listen(const struct clinux_address *address, int backlog, int reuse_port, mode_t mode);
/* A non-blocking, close-on-exec connection, with TCP_NODELAY where it is TCP. */
int clinux_accept(int listener, struct clinux_address *peer);
/* Starts to connect; the socket is non-blocking, and `EINPROGRESS` is no error. */
int clinux_connect(const struct clinux_address *address);
/* A datagram socket, non-blocking and close-on-exec, that sends to this address and hears of its errors. */
int clinux_connect_datagram(const struct clinux_address *address);
/* The error that a connect ended with, 0 for none. */
int clinux_socket_error(int fd);
/* The address a socket is bound to. */
int clinux_local_address(int fd, struct clinux_address *address);

void clinux_unlink(const char *path);
int clinux_duplicate(int fd);
ssize_t clinux_recv(int fd, void *to, size_t count);
ssize_t clinux_send(int fd, const void *from, size_t count);
/* Two pieces in one call. */
ssize_t clinux_send2(int fd, const void *first, size_t first_count, const void *second, size_t second_count);
int clinux_shutdown_write(int fd);
/* Closes; with `reset` the peer sees RST instead of FIN. */
void clinux_close(int fd, int reset);

/* What the C library calls an error number. */
const char *clinux_error_text(int error);

uint64_t clinux_monotonic_ns(void);
uint64_t clinux_realtime_ns(void);
uint64_t clinux_thread_cpu_ns(void);
/* Fills `to` from the kernel's generator; aborts where the kernel has none. */
void clinux_random(void *to, size_t count);

/* The soft and hard limit on descriptors; raises the soft one to the hard one. */
int clinux_raise_descriptor_limit(uint64_t *limit);
void clinux_name_thread(const char *name);

/* Blocks the signals that the daemon handles in this thread and all it starts, and returns a descriptor that reports them. */
int clinux_signal_descriptor(void);
/* The next pending signal, or 0. */
int clinux_next_signal(int fd);

/* Resolves a name; writes up to `capacity` addresses and returns how many, or -EAI_… */
int clinux_resolve(const char *host, uint16_t port, struct clinux_address *addresses, int capacity);
const char *clinux_resolve_error(int code);

/* Opens a log for appending: created 0640, close-on-exec, never a controlling terminal, a FIFO without waiting for a reader
 * (and where there is none, held open for one). */
int clinux_open_log(const char *path);

#endif
