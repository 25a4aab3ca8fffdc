/* The greeting of a sink that has a key (Forward protocol v1): what is taken for one, and what ends it with which reason. */
#include "core/base/msgpack.h"
#include "io/handshake.h"
#include "tests/unit/mp_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct slice key = {(const uint8_t *)"tr0ub4dor", 9}, us = {(const uint8_t *)"engine", 6};

static bool answered(const char *helo, struct handshake *h, struct buf *out, const char **why)
{
    return handshake_answer_helo(h, mp_text(helo), us, key, out, why);
}

static void expect_helo(const char *helo, bool good, const char *reason)
{
    struct handshake h;
    struct buf out = {0};
    const char *why = NULL;
    cr_expect_eq(answered(helo, &h, &out, &why), good, "%s", helo);
    cr_expect_eq(out.n != 0, good, "a PING for %s", helo);
    if (!good) cr_expect(strstr(why, reason) != NULL, "%s: %s", helo, why);
    buf_free(&out);
}

Test(handshake, a_helo_has_a_nonce_and_asks_for_no_user)
{
    expect_helo("['HELO', {'nonce': 'abcdefgh'}]", true, NULL);
    expect_helo("['HELO', {'nonce': 'abcdefgh', 'auth': '', 'keepalive': true}]", true, NULL);
    expect_helo("['HELO', {'auth': null, 'nonce': 'abcdefgh'}]", true, NULL);
    expect_helo("['HELO', {'nonce': 'abcdefgh', 'auth': 'salt'}]", false, "a user and a password");
    expect_helo("['HELO', {'nonce': 'abcdefgh', 'auth': 5}]", false, "a user and a password");
    expect_helo("['HELO', {'nonce': ''}]", false, "no HELO");
    expect_helo("['HELO', {}]", false, "no HELO");
    expect_helo("['HELO', {'nonce': 5}]", false, "no HELO");
    expect_helo(
        "['HELO', {'nonce': '123456789012345678901234567890123456789012345678901234567890123456789'}]", false,
        "no HELO");
    expect_helo("['HELO', 5]", false, "no HELO");
    expect_helo("['HELO']", false, "no HELO");
    expect_helo("['HULO', {'nonce': 'abcdefgh'}]", false, "no HELO");
    expect_helo("'HELO'", false, "no HELO");
}

Test(handshake, a_ping_proves_the_key_for_this_nonce)
{
    struct handshake h;
    struct buf ping = {0};
    const char *why;
    char digest[DIGEST_HEX_BYTES + 1];
    cr_assert(answered("['HELO', {'nonce': 'abcdefgh'}]", &h, &ping, &why));
    struct mp m = mp_of(buf_slice(&ping));
    cr_expect_eq(mp_array(&m), 6);
    cr_expect(slice_is(mp_str(&m), "PING") && slice_eq(mp_str(&m), us));
    struct slice salt = mp_str(&m), found = mp_str(&m);
    handshake_digest(salt, us, SLICE("abcdefgh"), key, digest);
    cr_expect(handshake_digest_eq(digest, found));
    handshake_digest(salt, us, SLICE("abcdefgi"), key, digest);
    cr_expect_not(handshake_digest_eq(digest, found), "another nonce, another digest");
    cr_expect_not(handshake_digest_eq(digest, slice_of(found.p, found.n - 1)), "cut short");
    buf_free(&ping);
}

static void expect_pong(const struct handshake *h, const char *begin, const char *end, const char *reason)
{
    char digest[DIGEST_HEX_BYTES + 1], text[600];
    const char *why = NULL;
    handshake_digest(slice_str(h->salt), SLICE("sink"), SLICE("abcdefgh"), key, digest);
    snprintf(text, sizeof text, "%s%s%s", begin, digest, end);
    cr_expect_eq(handshake_check_pong(h, mp_text(text), key, &why), !reason, "%s", text);
    if (reason) cr_expect(strstr(why, reason) != NULL, "%s: %s", text, why);
}

Test(handshake, a_pong_has_to_prove_it_too)
{
    struct handshake h;
    struct buf ping = {0};
    const char *why;
    cr_assert(answered("['HELO', {'nonce': 'abcdefgh'}]", &h, &ping, &why));
    expect_pong(&h, "['PONG', true, '', 'sink', '", "']", NULL);
    expect_pong(&h, "['PONG', false, 'no', 'sink', '", "']", "refused the key");
    expect_pong(&h, "['PONG', true, '', 'sunk', '", "']", "does not know the key");
    expect_pong(&h, "['PONG', true, '', 'sink', '", "0']", "does not know the key");
    expect_pong(&h, "['PONG', true, '', 'sink', '", "', 1]", "no PONG");
    expect_pong(&h, "['PUNG', true, '', 'sink', '", "']", "no PONG");
    expect_pong(&h, "['PONG', 1, '', 'sink', '", "']", "no PONG");
    expect_pong(&h, "['PONG', true, '', 5, '", "']", "no PONG");
    char long_host[400] = "['PONG', true, '', '";
    memset(long_host + strlen(long_host), 'x', 300);
    strcat(long_host, "', '");
    expect_pong(&h, long_host, "']", "no PONG");
    buf_free(&ping);
}
