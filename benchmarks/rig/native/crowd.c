/* Many devices that connect and then say nothing.
 *
 * usage: crowd PORT CONNECTIONS AT_ONCE
 * Opens so many connections, AT_ONCE of them under way at any time, each until its CONNACK is there. Prints one JSON
 * object, keeps them until its input ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "mqtt.h"

#define PATIENCE 30000 /* ms without any answer after which it gives up */

static void fail(const char *what) {
    fprintf(stderr, "crowd: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void open_one(int epoll, int port, int number) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const uint8_t fixed[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}; /* clean session, no keep-alive */
    static struct output out;
    struct epoll_event event = {.events = EPOLLIN};
    char name[48];
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    snprintf(name, sizeof name, "crowd-%d-%d", getpid(), number);
    out.used = 0;
    put_header(&out, CONNECT << 4, sizeof fixed + 2 + strlen(name));
    put(&out, fixed, sizeof fixed);
    put_u16(&out, (unsigned)strlen(name));
    put(&out, name, strlen(name));
    if (write(fd, out.data, out.used) != (ssize_t)out.used) fail("write");
    event.data.fd = fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll");
}

/* Takes a CONNACK, which is short enough to come in one piece. */
static void take(int epoll, int fd) {
    uint8_t answer[64];
    ssize_t got = read(fd, answer, sizeof answer);
    if (got < 4 || answer[0] != CONNACK << 4 || answer[3] != 0) fail("the server refused to connect");
    if (epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)) fail("epoll");
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int port = atoi(argv[1]), connections = atoi(argv[2]), at_once = atoi(argv[3]);
    struct rlimit limit;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int epoll = epoll_create1(EPOLL_CLOEXEC), opened = 0, answered = 0;
    struct epoll_event events[64];
    double start = now();
    while (answered < connections) {
        while (opened < connections && opened - answered < at_once) open_one(epoll, port, opened++);
        int count = epoll_wait(epoll, events, 64, PATIENCE);
        if (count <= 0) fail("no answer");
        for (int i = 0; i < count; i++) take(epoll, events[i].data.fd);
        answered += count;
    }
    printf("{\"connections\":%d,\"seconds\":%.6f}\n", connections, now() - start);
    fflush(stdout);
    char end;
    while (read(0, &end, 1) > 0) {
    }
    return 0;
}
