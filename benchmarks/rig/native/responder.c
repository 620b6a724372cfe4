/* The least that can be done: an epoll loop that reads PUBLISH packets and answers those over a threshold with
 * a fixed PUBLISH. No sessions, no routing, no rules: the floor that CPU per event is compared with.
 *
 * usage: responder THRESHOLD      prints the port it listens on, ends on SIGTERM or with its parent
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
#include <unistd.h>

#include "mqtt.h"

enum { TOPIC_MAX = 256 };

struct client {
    int fd;
    size_t held; /* bytes read that are no whole packet yet */
    unsigned topic_length, qos, id;
    uint8_t topic[TOPIC_MAX]; /* its one subscription, where commands go */
    uint8_t input[BUFFER];
    struct output out;
};

static const char COMMAND[] = "{\"mode\":\"max\"}";
static double threshold;

static int over_threshold(const struct message *message) {
    static const char key[] = "\"celsius\":";
    const uint8_t *at = memmem(message->payload, message->payload_length, key, sizeof key - 1);
    if (!at) return 0;
    at += sizeof key - 1;
    char number[32];
    size_t left = (size_t)(message->payload + message->payload_length - at);
    if (left > sizeof number - 1) left = sizeof number - 1;
    memcpy(number, at, left);
    number[left] = 0;
    return strtod(number, NULL) > threshold;
}

static int on_publish(struct client *client, const struct packet *packet) {
    struct message message;
    if (!publish_read(packet, &message)) return 0;
    if (message.qos) put_puback(&client->out, message.id);
    if (!client->topic_length || !over_threshold(&message)) return 1;
    struct message command = {
        .topic = client->topic,
        .topic_length = client->topic_length,
        .payload = (const uint8_t *)COMMAND,
        .payload_length = sizeof COMMAND - 1,
        .qos = client->qos < message.qos ? client->qos : message.qos,
    };
    if (command.qos) command.id = client->id = client->id % 65535 + 1;
    put_publish(&client->out, &command);
    return 1;
}

/* Takes the first topic filter of a SUBSCRIBE: id, then length, filter, QoS. */
static int on_subscribe(struct client *client, const struct packet *packet) {
    if (packet->length < 5) return 0;
    unsigned length = u16(packet->body + 2);
    if (length > TOPIC_MAX || packet->length < 5 + (size_t)length) return 0;
    client->topic_length = length;
    memcpy(client->topic, packet->body + 4, length);
    client->qos = packet->body[4 + length] & 1;
    put_header(&client->out, SUBACK << 4, 3);
    put(&client->out, packet->body, 2);
    client->out.data[client->out.used++] = (uint8_t)client->qos;
    return 1;
}

static int on_packet(struct client *client, const struct packet *packet) {
    static const uint8_t connack[] = {CONNACK << 4, 2, 0, 0}, pingresp[] = {PINGRESP << 4, 0};
    switch (packet->type) {
    case PUBLISH: return on_publish(client, packet);
    case PUBACK: return 1;
    case SUBSCRIBE: return on_subscribe(client, packet);
    case CONNECT: put(&client->out, connack, sizeof connack); return 1;
    case PINGREQ: put(&client->out, pingresp, sizeof pingresp); return 1;
    default: return 0;
    }
}

/* Writes what is there; a client that does not read what it asked for is dropped. */
static int flush(struct client *client) {
    size_t length = client->out.used;
    client->out.used = 0;
    return !length || write(client->fd, client->out.data, length) == (ssize_t)length;
}

static int on_readable(struct client *client) {
    ssize_t got = read(client->fd, client->input + client->held, BUFFER - client->held);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return 0;
    size_t length = client->held + (size_t)got, at = 0;
    for (;;) {
        struct packet packet;
        long used = packet_read(client->input + at, length - at, &packet);
        if (used < 0) return 0;
        if (used == 0) break;
        if (!output_fits(&client->out, PACKET_MAX) && !flush(client)) return 0;
        if (!on_packet(client, &packet)) return 0;
        at += (size_t)used;
    }
    client->held = length - at;
    memmove(client->input, client->input + at, client->held);
    return flush(client);
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&address, &size)) {
        perror("responder");
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void greet(int epoll, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    struct client *client = calloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!client || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
        free(client);
        close(fd);
        return;
    }
    client->fd = fd;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    threshold = strtod(argv[1], NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    int listener = listening(), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[64];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) return 1;
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) {
                greet(epoll, listener);
            } else if (!on_readable(client)) {
                close(client->fd);
                free(client);
            }
        }
    }
}
