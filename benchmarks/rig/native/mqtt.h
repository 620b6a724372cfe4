/* The little of MQTT 3.1.1 that a load client and a bare responder need. Lengths are checked, never trusted. */
#ifndef RIMWARD_BENCH_MQTT_H
#define RIMWARD_BENCH_MQTT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, SUBACK = 9, PINGREQ = 12,
       PINGRESP = 13, DISCONNECT = 14 };

enum { PACKET_MAX = 4096, BUFFER = 4 * PACKET_MAX }; /* bytes */

struct packet {
    unsigned type, flags;
    const uint8_t *body;
    size_t length; /* of the body */
};

struct message {
    const uint8_t *topic, *payload;
    size_t topic_length, payload_length;
    unsigned qos, id;
};

static inline unsigned u16(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

/* Returns how many bytes the first packet takes; 0 when it is not whole yet; -1 when it is none or too big. */
static inline long packet_read(const uint8_t *data, size_t length, struct packet *packet) {
    size_t body = 0, at = 1;
    for (unsigned shift = 0;; shift += 7, at++) {
        if (shift > 21) return -1;
        if (at >= length) return 0;
        body |= (size_t)(data[at] & 0x7f) << shift;
        if (!(data[at] & 0x80)) break;
    }
    at++;
    if (body > PACKET_MAX - at) return -1;
    if (length - at < body) return 0;
    packet->type = data[0] >> 4;
    packet->flags = data[0] & 0x0f;
    packet->body = data + at;
    packet->length = body;
    return (long)(at + body);
}

/* Returns 0 when the PUBLISH packet's own lengths do not fit it. */
static inline int publish_read(const struct packet *packet, struct message *message) {
    if (packet->length < 2) return 0;
    size_t at = 2 + (size_t)u16(packet->body);
    message->qos = packet->flags >> 1 & 3;
    if (message->qos > 1 || packet->length < at + 2 * message->qos) return 0;
    message->topic = packet->body + 2;
    message->topic_length = at - 2;
    message->id = message->qos ? u16(packet->body + at) : 0;
    at += 2 * message->qos;
    message->payload = packet->body + at;
    message->payload_length = packet->length - at;
    return 1;
}

struct output {
    uint8_t data[BUFFER];
    size_t used;
};

static inline int output_fits(const struct output *out, size_t bytes) { return bytes <= BUFFER - out->used; }

static inline void put(struct output *out, const void *data, size_t length) {
    memcpy(out->data + out->used, data, length);
    out->used += length;
}

static inline void put_u16(struct output *out, unsigned value) {
    out->data[out->used++] = (uint8_t)(value >> 8);
    out->data[out->used++] = (uint8_t)value;
}

static inline void put_header(struct output *out, unsigned first, size_t body) {
    out->data[out->used++] = (uint8_t)first;
    do {
        out->data[out->used++] = (uint8_t)((body & 0x7f) | (body > 0x7f ? 0x80 : 0));
        body >>= 7;
    } while (body);
}

/* The callers leave room for a whole packet: output_fits(out, PACKET_MAX). */
static inline void put_publish(struct output *out, const struct message *message) {
    put_header(out, PUBLISH << 4 | message->qos << 1,
               2 + message->topic_length + 2 * message->qos + message->payload_length);
    put_u16(out, (unsigned)message->topic_length);
    put(out, message->topic, message->topic_length);
    if (message->qos) put_u16(out, message->id);
    put(out, message->payload, message->payload_length);
}

static inline void put_puback(struct output *out, unsigned id) {
    put_header(out, PUBACK << 4, 2);
    put_u16(out, id);
}

#endif
