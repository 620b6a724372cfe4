/* One publisher and many subscribers to its topic, QoS 0.
 *
 * usage: fan PORT SUBSCRIBERS WARM_MS MEASURE_MS
 * The next two messages are published when every subscriber has the two before them. Prints "measuring" when the
 * warm-up is over, then one JSON object: how many copies came, and in how long.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "mqtt.h"

enum { AT_ONCE = 2, PATIENCE = 10000 /* ms without a message after which it gives up */ };

static const char PAYLOAD[] =
    "{\"celsius\":31.5,\"place\":\"hall 7, rack 12, shelf 3, left of the door, second probe from above\"}";

struct reader {
    int fd;
    size_t held;
    uint8_t input[BUFFER];
};

static void fail(const char *what) {
    fprintf(stderr, "fan: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void say(int fd, struct output *out) {
    if (write(fd, out->data, out->used) != (ssize_t)out->used) fail("write");
    out->used = 0;
}

static void expect(int fd, unsigned type, size_t length, size_t status) {
    uint8_t answer[16];
    size_t held = 0;
    while (held < length) {
        ssize_t got = read(fd, answer + held, length - held);
        if (got <= 0) fail("no answer while connecting");
        held += (size_t)got;
    }
    if (answer[0] != type << 4 || answer[status]) fail("the server refused to connect or subscribe");
}

static int connected(int port, int number) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const uint8_t fixed[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0};
    static struct output out;
    char name[48];
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    snprintf(name, sizeof name, "fan-%d-%d", getpid(), number);
    put_header(&out, CONNECT << 4, sizeof fixed + 2 + strlen(name));
    put(&out, fixed, sizeof fixed);
    put_u16(&out, (unsigned)strlen(name));
    put(&out, name, strlen(name));
    say(fd, &out);
    expect(fd, CONNACK, 4, 3);
    return fd;
}

static void subscribe(int fd, const char *topic) {
    static struct output out;
    put_header(&out, SUBSCRIBE << 4 | 2, 2 + 2 + strlen(topic) + 1);
    put_u16(&out, 1);
    put_u16(&out, (unsigned)strlen(topic));
    put(&out, topic, strlen(topic));
    out.data[out.used++] = 0;
    say(fd, &out);
    expect(fd, SUBACK, 5, 4);
}

/* Returns how many messages a read has completed. */
static unsigned long take(struct reader *reader) {
    ssize_t got = read(reader->fd, reader->input + reader->held, BUFFER - reader->held);
    if (got <= 0) fail("the server closed a connection");
    size_t length = reader->held + (size_t)got, done = 0;
    unsigned long messages = 0;
    struct packet packet;
    for (long used; (used = packet_read(reader->input + done, length - done, &packet)); done += (size_t)used) {
        if (used < 0) fail("a malformed packet came");
        messages += packet.type == PUBLISH;
    }
    reader->held = length - done;
    memmove(reader->input, reader->input + done, reader->held);
    return messages;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int port = atoi(argv[1]), subscribers = atoi(argv[2]);
    double warm = atoi(argv[3]) / 1e3, measure = atoi(argv[4]) / 1e3;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    char topic[32];
    snprintf(topic, sizeof topic, "fan/%d", getpid());
    int epoll = epoll_create1(EPOLL_CLOEXEC), publisher = connected(port, -1);
    struct reader *readers = calloc((size_t)subscribers, sizeof *readers);
    if (!readers) fail("no memory");
    for (int i = 0; i < subscribers; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
        readers[i].fd = connected(port, i);
        subscribe(readers[i].fd, topic);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event)) fail("epoll");
    }
    static struct output out;
    struct message message = {.topic = (const uint8_t *)topic, .topic_length = strlen(topic),
                              .payload = (const uint8_t *)PAYLOAD, .payload_length = sizeof PAYLOAD - 1};
    struct epoll_event events[64];
    unsigned long copies = 0;
    double start = now(), measured = 0;
    int measuring = 0;
    for (;;) {
        double at = now();
        if (!measuring && at - start >= warm) {
            puts("measuring");
            fflush(stdout);
            measuring = 1, measured = at, copies = 0;
        } else if (measuring && at - measured >= measure) {
            printf("{\"copies\":%lu,\"seconds\":%.6f}\n", copies, at - measured);
            return 0;
        }
        for (int i = 0; i < AT_ONCE; i++) put_publish(&out, &message);
        say(publisher, &out);
        unsigned long missing = (unsigned long)subscribers * AT_ONCE;
        while (missing) {
            int count = epoll_wait(epoll, events, 64, PATIENCE);
            if (count <= 0) fail("copies are missing");
            for (int i = 0; i < count; i++) {
                unsigned long came = take(events[i].data.ptr);
                missing -= came, copies += came;
            }
        }
    }
}
