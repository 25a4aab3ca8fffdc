#include "io/handshake.h"
#include "core/base/check.h"
#include "core/base/msgpack.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

enum { DIGEST_BYTES = DIGEST_HEX_BYTES / 2, PONG_ITEMS = 5 };

static void put_hex(const uint8_t *p, uint32_t n, char *out)
{
    static const char HEX[] = "0123456789abcdef";
    for (uint32_t i = 0; i < n; i++) {
        out[2 * i] = HEX[p[i] >> 4];
        out[2 * i + 1] = HEX[p[i] & 15];
    }
    out[2 * n] = 0;
}

void handshake_digest(struct slice salt, struct slice host, struct slice nonce, struct slice key,
                      char out[DIGEST_HEX_BYTES + 1])
{
    uint8_t digest[DIGEST_BYTES];
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha512(), NULL) && EVP_DigestUpdate(c, salt.p, salt.n) &&
              EVP_DigestUpdate(c, host.p, host.n) && EVP_DigestUpdate(c, nonce.p, nonce.n) &&
              EVP_DigestUpdate(c, key.p, key.n) && EVP_DigestFinal_ex(c, digest, NULL);
    CHECK(ok);
    EVP_MD_CTX_free(c);
    put_hex(digest, DIGEST_BYTES, out);
}

bool handshake_digest_eq(const char expected[DIGEST_HEX_BYTES + 1], struct slice digest)
{
    return digest.n == DIGEST_HEX_BYTES && CRYPTO_memcmp(expected, digest.p, DIGEST_HEX_BYTES) == 0;
}

/* ["HELO", {...}]: the nonce, and whether user and password are asked for (which nobody here has). */
static bool read_helo(struct slice helo, struct slice *nonce, bool *users)
{
    struct mp m = mp_of(helo);
    *nonce = (struct slice){0};
    *users = false;
    if (mp_array(&m) != 2 || !slice_is(mp_str(&m), "HELO")) return false;
    for (uint32_t n = mp_map(&m); n > 0 && !m.err; n--) {
        struct slice key = mp_str(&m);
        if (slice_is(key, "nonce"))
            *nonce = mp_str(&m);
        else if (slice_is(key, "auth"))
            *users = mp_is_text(&m) ? mp_str(&m).n > 0 : !mp_nil(&m);
        else
            mp_skip(&m);
    }
    return !m.err && nonce->n > 0 && nonce->n <= NONCE_BYTES_MAX;
}

static void put_ping(const struct handshake *h, struct slice hostname, struct slice key, struct buf *out)
{
    char digest[DIGEST_HEX_BYTES + 1];
    uint8_t text[HANDSHAKE_BYTES_MAX], *p = mpw_array(text, 6);
    handshake_digest(slice_str(h->salt), hostname, slice_of(h->nonce, h->nonce_bytes), key, digest);
    p = mpw_str(p, SLICE("PING"));
    p = mpw_str(p, hostname);
    p = mpw_str(p, slice_str(h->salt));
    p = mpw_str(p, slice_str(digest));
    p = mpw_str(p, (struct slice){0});
    p = mpw_str(p, (struct slice){0});
    buf_put(out, text, (size_t)(p - text));
}

bool handshake_answer_helo(struct handshake *h, struct slice helo, struct slice hostname, struct slice key,
                           struct buf *out, const char **why)
{
    struct slice nonce;
    uint8_t random[NONCE_BYTES];
    bool users;
    CHECK(hostname.n <= HOST_BYTES_MAX);
    *why = "the server's first message is no HELO";
    if (!read_helo(helo, &nonce, &users)) return false;
    *why = "the server asks for a user and a password";
    if (users) return false;
    memcpy(h->nonce, nonce.p, nonce.n);
    h->nonce_bytes = (uint8_t)nonce.n;
    CHECK(getrandom(random, sizeof random, 0) == sizeof random);
    put_hex(random, sizeof random, h->salt);
    put_ping(h, hostname, key, out);
    return true;
}

bool handshake_check_pong(const struct handshake *h, struct slice pong, struct slice key, const char **why)
{
    char expected[DIGEST_HEX_BYTES + 1];
    struct mp m = mp_of(pong);
    *why = "the server's second message is no PONG";
    if (mp_array(&m) != PONG_ITEMS || !slice_is(mp_str(&m), "PONG")) return false;
    bool good = mp_bool(&m);
    mp_str(&m); /* the reason is a stranger's text: it is not repeated */
    struct slice host = mp_str(&m), digest = mp_str(&m);
    if (m.err || host.n > HOST_BYTES_MAX) return false;
    *why = "the server refused the key";
    if (!good) return false;
    *why = "the server does not know the key";
    handshake_digest(slice_str(h->salt), host, slice_of(h->nonce, h->nonce_bytes), key, expected);
    return handshake_digest_eq(expected, digest);
}
