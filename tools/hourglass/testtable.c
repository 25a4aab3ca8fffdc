/* testtable.c - what a test file may hold, in the same words as core/define/table.c: its checks, and "did you mean". */
#include "core/define/table_words.h"
#include "tools/hourglass/testfile.h"

static const struct shape name = TAKES(NAME);
static const struct shape value;
static const struct shape value = {.scalar = SCALAR_VALUE, .values = &value, .item = &value};
static const struct shape people = LIST(name), variant = TAKES(NAME), values = NAMED(value);

BLOCK(person, "a person that is given", {"traits", NAMED(value), 0, "attributes"},
      {"consent", NAMED(value), 0, "by channel: true, granted, confirmed, denied"});
static const struct shape given_person = {.scalar = SCALAR_NOTHING, .block = &person};

BLOCK(given, "what is given",
      {"holdout", WORDS("false|true|hash"), 0, "who is held out: nobody, everybody, as in life"},
      {"lists", NAMED(people), 0, "who is in which list"},
      {"rfm", NAMED(value), KEY_LATER, "classes of people"},
      {"variant", NAMED(variant), 0, "the path of a split, by STEP or JOURNEY.STEP"});

BLOCK(event, "an event", {"after", TAKES(DURATION), KEY_REQUIRED, "how long after the start"},
      {"userId", TAKES(NAME), 0, "whose"}, {"anonymousId", TAKES(NAME), 0, "whose"},
      {"previousId", TAKES(NAME), 0, "alias: the anonymous id"}, {"groupId", TAKES(NAME), 0, "group"},
      {"type", WORDS("track|identify|page|screen|group|alias"), 0, "default: by what else is there"},
      {"event", TAKES(NAME), 0, "its name"}, {"properties", NAMED(value), 0, "of the event"},
      {"traits", NAMED(value), 0, "identify: attributes"}, {"context", NAMED(value), 0, "of the message"},
      {"messageId", TAKES(NAME), 0, "to send one twice"},
      {"outcome", WORDS("delivered|opened|clicked|replied|bounced|failed|complained|shown|dismissed"), 0,
       "what became of a message"},
      {"of", TAKES(NAME), 0, "outcome: of which step's"});
static const struct shape event_shape = KEYS(event);

BLOCK(action, "an expected action", {"after", TAKES(DURATION), 0, "how long after the start"},
      {"user", TAKES(NAME), 0, "whose"}, {"journey", TAKES(NAME), 0, "of which journey"},
      {"step", TAKES(NAME), 0, "of which step"},
      {"kind", WORDS("send|webhook|task|audience"), 0, "what it is"},
      {"channel", TAKES(NAME), 0, "by which channel"}, {"template", TAKES(NAME), 0, "its template"},
      {"to", {.scalar = SCALAR_VALUE, .item = &value}, 0, "the address"},
      {"vars", NAMED(value), 0, "those that matter"}, {"version", TAKES(COUNT), 0, "of the journey"},
      {"variant", TAKES(NAME), 0, "the path of its split"}, {"topic", TAKES(NAME), 0, "its topic"},
      {"type", WORDS("transactional|trigger|mass"), 0, "its type"}, {"lang", TAKES(NAME), 0, "its language"},
      {"priority", TAKES(INTEGER), 0, "its priority"}, {"attempt", TAKES(COUNT), 0, "of a cascade"},
      {"op", WORDS("add|remove"), 0, "audience: what is done"},
      {"audience", TAKES(NAME), 0, "audience: which one"},
      {"expires_at", TAKES(TEXT), 0, "when it is of no use any more"});
static const struct shape action_shape = KEYS(action);

BLOCK(held, "a send that did not leave", {"after", TAKES(DURATION), 0, "how long after the start"},
      {"user", TAKES(NAME), 0, "whose"}, {"journey", TAKES(NAME), 0, "of which journey"},
      {"step", TAKES(NAME), 0, "of which step"}, {"reason", TAKES(NAME), 0, "no_consent, cap, quiet ..."});
static const struct shape held_shape = KEYS(held);

#define COUNTER(word, doc)                                                                                   \
    {                                                                                                        \
#word, TAKES(COUNT), 0, doc                                                                          \
    }
BLOCK(counters, "a journey's counters", COUNTER(entered, "came in"), COUNTER(active, "are inside"),
      COUNTER(completed, "walked to the end"), COUNTER(goal, "left by the goal"),
      COUNTER(exited, "left by an exit"), COUNTER(timeout, "ran out of time"),
      COUNTER(cancelled, "were taken out"), COUNTER(moved, "went on in another version"),
      COUNTER(converted, "reached the goal"), COUNTER(converted_touched, "reached it after a message"),
      COUNTER(ignored, "were inside already"), COUNTER(held_out, "got nothing, for comparison"));
static const struct shape counters_shape = KEYS(counters), members = {.scalar = SCALAR_COUNT, .item = &name};

BLOCK(expect, "expect", {"actions", LIST(action_shape), 0, "all of them, in order"},
      {"suppressed", LIST(held_shape), 0, "all sends that were given up, in order"},
      {"deferred", LIST(held_shape), 0, "all sends that had to wait, in order"},
      {"journeys", NAMED(counters_shape), 0, "how many, by journey"},
      {"segments", NAMED(members), 0, "who, or how many, by segment"},
      {"profile", NAMED(values), 0, "attributes at the end, by person"});

static const struct key_row test_keys[] = {
    {"test", TAKES(TEXT), KEY_REQUIRED, "what is claimed"},
    {"at", TAKES(TEXT), 0, "the start; default 2026-01-01T00:00:00Z"},
    {"only", LIST(name), 0, "just these journeys run"},
    {"given", {.block = &given, .values = &given_person}, 0, "what is so at the start"},
    {"events", LIST(event_shape), 0, "what happens"},
    {"run_for", TAKES(DURATION), 0, "how long; at least to the last event"},
    {"expect", KEYS(expect), KEY_REQUIRED, "what must have happened"},
    {0}};
const struct block test_block = {"a test", test_keys};
