/* redis.c - RESP: five pipelined commands, or one EVALSHA with fields that the client has parsed, or one EVALSHA that is
 * handed the message itself. The profile is a hash, the timers are one sorted set. */
#include "bench/peers/peer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char LUA[] = "local p,e=KEYS[1],ARGV[1]\n"
                          "redis.call('HINCRBY',p,'c:'..e,1)\n"
                          "redis.call('HINCRBY',p,'total',1)\n"
                          "redis.call('HINCRBY',p,'sum',ARGV[2])\n"
                          "redis.call('HSET',p,'at',ARGV[3],'city',ARGV[4],'event',e)\n"
                          "redis.call('ZADD',KEYS[2],ARGV[3]+3600000,p)\n"
                          "return 1";
static const char MSGPACK[] = "local p,m=KEYS[1],cmsgpack.unpack(ARGV[1])\n"
                              "redis.call('HINCRBY',p,'c:'..m.event,1)\n"
                              "redis.call('HINCRBY',p,'total',1)\n"
                              "redis.call('HINCRBY',p,'sum',math.floor(m.properties.total*100))\n"
                              "redis.call('HSET',p,'at',ARGV[2],'city',m.context.city,'event',m.event)\n"
                              "redis.call('ZADD',KEYS[2],ARGV[2]+3600000,p)\n"
                              "return 1";

static char script_sha[41]; /* of the script that this run uses */

static uint8_t *put_raw(uint8_t *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static uint8_t *put_bulk(uint8_t *p, const void *bytes, size_t n)
{
    p += sprintf((char *)p, "$%zu\r\n", n);
    return put_raw(put_raw(p, bytes, n), "\r\n", 2);
}

static uint8_t *put_text(uint8_t *p, const char *text) { return put_bulk(p, text, strlen(text)); }

static uint8_t *put_number(uint8_t *p, uint64_t v)
{
    char text[24];
    return put_bulk(p, text, (size_t)sprintf(text, "%llu", (unsigned long long)v));
}

static uint8_t *put_array(uint8_t *p, uint32_t n) { return p + sprintf((char *)p, "*%u\r\n", n); }

static uint8_t *put_key(uint8_t *p, uint32_t user)
{
    char key[24];
    return put_bulk(p, key, (size_t)sprintf(key, "p:u%011u", user));
}

static uint8_t *put_increment(uint8_t *p, const struct peer_event *e, const char *field, uint64_t by)
{
    p = put_key(put_text(put_array(p, 4), "HINCRBY"), e->user);
    return put_number(put_text(p, field), by);
}

static uint8_t *commands(uint8_t *p, const struct peer_event *e)
{
    char field[32];
    snprintf(field, sizeof field, "c:%s", PEER_EVENT_NAMES[e->type]);
    p = put_increment(p, e, field, 1);
    p = put_increment(p, e, "total", 1);
    p = put_increment(p, e, "sum", e->cents);
    p = put_key(put_text(put_array(p, 8), "HSET"), e->user);
    p = put_number(put_text(p, "at"), e->ms);
    p = put_text(put_text(p, "city"), e->city);
    p = put_text(put_text(p, "event"), PEER_EVENT_NAMES[e->type]);
    p = put_text(put_text(put_array(p, 4), "ZADD"), "timers");
    return put_key(put_number(p, e->ms + 3600000), e->user);
}

static uint8_t *put_call(uint8_t *p, const struct peer_event *e, uint32_t arguments)
{
    p = put_bulk(put_text(put_array(p, 5 + arguments), "EVALSHA"), script_sha, 40);
    return put_text(put_key(put_text(p, "2"), e->user), "timers");
}

static uint8_t *lua(uint8_t *p, const struct peer_event *e)
{
    p = put_number(put_text(put_call(p, e, 4), PEER_EVENT_NAMES[e->type]), e->cents);
    return put_text(put_number(p, e->ms), e->city);
}

static uint8_t *msgpack(uint8_t *p, const struct peer_event *e)
{
    return put_number(put_bulk(put_call(p, e, 2), e->record, e->record_bytes), e->ms);
}

/* SCRIPT LOAD; the answer is a bulk string of 40 hexadecimal digits. */
static bool load_script(int fd, const char *script)
{
    uint8_t request[2048], answer[256];
    size_t n = 0;
    uint8_t *end = put_text(put_text(put_text(put_array(request, 3), "SCRIPT"), "LOAD"), script);
    if (send(fd, request, (size_t)(end - request), MSG_NOSIGNAL) < 0) return false;
    while (n < 47) {
        ssize_t got = recv(fd, answer + n, sizeof answer - n, 0);
        if (got <= 0 || answer[0] != '$') return false;
        n += (size_t)got;
    }
    memcpy(script_sha, answer + 5, 40);
    return true;
}

static bool load_lua(int fd) { return load_script(fd, LUA); }
static bool load_msgpack(int fd) { return load_script(fd, MSGPACK); }

/* Every answer here is one line: an integer or an error. */
static long lines(const uint8_t *p, size_t n, size_t *used)
{
    long count = 0;
    const uint8_t *at = p, *end = p + n, *newline;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (*at == '-') {
            fprintf(stderr, "redis: %.*s\n", (int)(newline - at), (const char *)at);
            return -1;
        }
        count++;
        at = newline + 1;
    }
    *used = (size_t)(at - p);
    return count;
}

const struct protocol REDIS_COMMANDS = {"redis-commands", 5, NULL, commands, lines};
const struct protocol REDIS_LUA = {"redis-lua", 1, load_lua, lua, lines};
const struct protocol REDIS_MSGPACK = {"redis-msgpack", 1, load_msgpack, msgpack, lines};
