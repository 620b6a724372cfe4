/* Devices under load: MQTT 3.1.1, one write per read, TCP_NODELAY.
 *
 * usage: load PORT CONNECTIONS IN_FLIGHT QOS RATE WARM_MS MEASURE_MS [ACKNOWLEDGED]
 * Device d publishes to bench/PID-d/reading and gets its commands from bench/PID-d/command.
 * RATE 0 is the closed loop: each device keeps IN_FLIGHT readings under way and sends the next one when a
 * command comes back. Any other RATE is the open loop: so many readings a second, by all devices in turn,
 * whatever comes back; a reading's time runs from the moment it was due, so that a server that stalls is
 * charged for all that it held up, and the client polls without sleeping.
 * With ACKNOWLEDGED other than 0 a reading's answer is its PUBACK, and no command comes; that takes as long as
 * a disk, and so the client sleeps for a millisecond at a time and leaves its CPU to others.
 * Prints "measuring" when the warm-up is over, then one JSON object (times in ns).
 * Commands are matched to readings in order: every server here keeps the order of one device.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "mqtt.h"

enum { IN_FLIGHT_MAX = 1024 };
#define PATIENCE 200000000ull /* ns without any command, at the end, after which those missing are lost */

static const char READING[] =
    "{\"celsius\":31.5,\"place\":\"hall 7, rack 12, shelf 3, left of the door, second probe from above\"}";

struct device {
    int fd;
    size_t held;
    unsigned id, under_way, next; /* next: where the oldest send time stands */
    uint64_t sent[IN_FLIGHT_MAX];
    char topic[48];
    uint8_t input[BUFFER];
    struct output out;
};

static struct {
    uint32_t *latency; /* ns */
    size_t count, room;
    int measuring, over;
} samples;
static unsigned qos, in_flight, acknowledged;

static struct {
    uint64_t start, count; /* when the first reading is due, ns; how many were sent */
    double interval;       /* ns between readings; 0 in the closed loop */
} pace;

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static void record(uint64_t latency) {
    if (!samples.measuring) return;
    if (samples.count == samples.room) {
        samples.room = samples.room ? 2 * samples.room : 1 << 16;
        samples.latency = realloc(samples.latency, samples.room * sizeof *samples.latency);
        if (!samples.latency) fail("no memory for samples");
    }
    samples.latency[samples.count++] = latency > UINT32_MAX ? UINT32_MAX : (uint32_t)latency;
}

static void flush(struct device *device) {
    size_t at = 0;
    while (at < device->out.used) {
        ssize_t wrote = write(device->fd, device->out.data + at, device->out.used - at);
        if (wrote > 0) {
            at += (size_t)wrote;
        } else if (wrote < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = device->fd, .events = POLLOUT};
            if (poll(&wait, 1, 5000) <= 0) fail("the server does not read");
        } else if (wrote < 0 && errno != EINTR) {
            fail("write");
        }
    }
    device->out.used = 0;
}

/* Queues a reading; it leaves with the next flush. */
static void put_reading(struct device *device, uint64_t at) {
    struct message reading = {
        .topic = (const uint8_t *)device->topic,
        .topic_length = strlen(device->topic),
        .payload = (const uint8_t *)READING,
        .payload_length = sizeof READING - 1,
        .qos = qos,
    };
    if (device->under_way == IN_FLIGHT_MAX) fail("the server keeps too many readings waiting");
    if (qos) reading.id = device->id = device->id % 65535 + 1;
    put_publish(&device->out, &reading);
    device->sent[(device->next + device->under_way++) % IN_FLIGHT_MAX] = at;
}

static void fill(struct device *device) {
    uint64_t at = now();
    while (device->under_way < in_flight) put_reading(device, at);
}

/* Sends what is due by now in the open loop. */
static void keep_pace(struct device *devices, int connections) {
    uint64_t at = now();
    for (;; pace.count++) {
        uint64_t due = pace.start + (uint64_t)(pace.interval * (double)pace.count);
        if (due > at) return;
        struct device *device = &devices[pace.count % (uint64_t)connections];
        put_reading(device, due);
        flush(device);
    }
}

static void on_packet(struct device *device, const struct packet *packet, uint64_t at) {
    struct message command = {.qos = 0};
    if (packet->type != (acknowledged ? PUBACK : PUBLISH)) return;
    if (!acknowledged && !publish_read(packet, &command)) fail("a malformed PUBLISH came back");
    if (!device->under_way) fail("a command came back that nobody waits for");
    if (command.qos) put_puback(&device->out, command.id);
    record(at - device->sent[device->next]);
    device->next = (device->next + 1) % IN_FLIGHT_MAX;
    device->under_way--;
}

static void on_readable(struct device *device) {
    ssize_t got = read(device->fd, device->input + device->held, BUFFER - device->held);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) fail("the server closed a connection");
    uint64_t at = now();
    size_t length = device->held + (size_t)got, done = 0;
    struct packet packet;
    for (long used; (used = packet_read(device->input + done, length - done, &packet)); done += (size_t)used) {
        if (used < 0) fail("a malformed packet came back");
        if (!output_fits(&device->out, 2 * PACKET_MAX)) flush(device);
        on_packet(device, &packet, at);
    }
    device->held = length - done;
    memmove(device->input, device->input + done, device->held);
    if (!pace.interval && !samples.over) fill(device);
    flush(device);
}

/* Waits for one packet while the connection is set up, and for a status byte of at most `best` in it.
 * The socket still blocks, with a time limit. */
static void expect(struct device *device, unsigned type, size_t status, unsigned best) {
    struct packet packet;
    long used;
    while (!(used = packet_read(device->input, device->held, &packet))) {
        ssize_t got = read(device->fd, device->input + device->held, BUFFER - device->held);
        if (got <= 0) fail("no answer while connecting");
        device->held += (size_t)got;
    }
    if (used < 0 || packet.type != type || packet.length <= status || packet.body[status] > best)
        fail("the server refused to connect or subscribe");
    device->held -= (size_t)used;
    memmove(device->input, device->input + used, device->held);
}

static void put_connect(struct output *out, const char *id) {
    static const uint8_t fixed[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}; /* clean session, no keep-alive */
    put_header(out, CONNECT << 4, sizeof fixed + 2 + strlen(id));
    put(out, fixed, sizeof fixed);
    put_u16(out, (unsigned)strlen(id));
    put(out, id, strlen(id));
}

static void put_subscribe(struct output *out, const char *filter) {
    put_header(out, SUBSCRIBE << 4 | 2, 2 + 2 + strlen(filter) + 1);
    put_u16(out, 1);
    put_u16(out, (unsigned)strlen(filter));
    put(out, filter, strlen(filter));
    out->data[out->used++] = (uint8_t)qos;
}

static void connect_device(struct device *device, int port, int number) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int one = 1;
    char name[48];
    device->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(device->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(device->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(device->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    snprintf(name, sizeof name, "bench-%d-%d", getpid(), number);
    put_connect(&device->out, name);
    flush(device);
    expect(device, CONNACK, 1, 0);
    snprintf(name, sizeof name, "bench/%d-%d/command", getpid(), number);
    put_subscribe(&device->out, name);
    flush(device);
    expect(device, SUBACK, 2, qos);
    snprintf(device->topic, sizeof device->topic, "bench/%d-%d/reading", getpid(), number);
}

static void run_until(int epoll, struct device *devices, int connections, uint64_t end) {
    struct epoll_event events[64];
    for (uint64_t at = now(); at < end; at = now()) {
        int wait = pace.interval ? (acknowledged ? 1 : 0) : (int)((end - at) / 1000000) + 1; /* ms */
        int count = epoll_wait(epoll, events, 64, wait);
        for (int i = 0; i < count; i++) on_readable(events[i].data.ptr);
        if (pace.interval) keep_pace(devices, connections);
    }
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static unsigned percentile(double share) {
    if (!samples.count) return 0;
    size_t at = (size_t)((double)samples.count * share);
    return samples.latency[at < samples.count ? at : samples.count - 1];
}

static void report(uint64_t took, unsigned long lost) {
    qsort(samples.latency, samples.count, sizeof *samples.latency, compare);
    printf("{\"events\":%zu,\"seconds\":%.6f,\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u,\"lost\":%lu}\n",
           samples.count, (double)took / 1e9, percentile(0.5), percentile(0.99), percentile(0.999),
           percentile(1), lost);
}

static struct device *connect_all(int epoll, int port, int connections) {
    struct device *devices = calloc((size_t)connections, sizeof *devices);
    if (!devices) fail("no memory for devices");
    for (int i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &devices[i]};
        connect_device(&devices[i], port, i);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, devices[i].fd, &event)) fail("epoll");
    }
    return devices;
}

/* Waits for the commands still under way; returns how many never come. */
static unsigned long drain(int epoll, struct device *devices, int connections) {
    struct epoll_event events[64];
    samples.over = 1;
    samples.measuring = 0;
    for (uint64_t last = now();;) {
        unsigned long waiting = 0;
        for (int i = 0; i < connections; i++) waiting += devices[i].under_way;
        if (!waiting || now() - last > PATIENCE) return waiting;
        int count = epoll_wait(epoll, events, 64, 10);
        for (int i = 0; i < count; i++) on_readable(events[i].data.ptr);
        if (count > 0) last = now();
    }
}

int main(int argc, char **argv) {
    int numbers[7];
    if (argc != 8 && argc != 9) return 2;
    acknowledged = argc == 9 && atoi(argv[8]) != 0;
    for (int i = 0; i < 7; i++) numbers[i] = atoi(argv[i + 1]);
    int connections = numbers[1];
    in_flight = (unsigned)numbers[2];
    qos = (unsigned)numbers[3];
    pace.interval = numbers[4] ? 1e9 / numbers[4] : 0;
    if (connections < 1 || in_flight < 1 || in_flight > IN_FLIGHT_MAX || qos > 1 || numbers[4] < 0 ||
        (acknowledged && !qos))
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct device *devices = connect_all(epoll, numbers[0], connections);
    for (int i = 0; i < connections && !pace.interval; i++) {
        fill(&devices[i]);
        flush(&devices[i]);
    }
    pace.start = now();
    run_until(epoll, devices, connections, pace.start + (uint64_t)numbers[5] * 1000000);
    puts("measuring");
    fflush(stdout);
    samples.measuring = 1;
    uint64_t start = now();
    run_until(epoll, devices, connections, start + (uint64_t)numbers[6] * 1000000);
    uint64_t end = now();
    report(end - start, drain(epoll, devices, connections));
    free(samples.latency);
    free(devices);
    return 0;
}
