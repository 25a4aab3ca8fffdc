#include "core/define/table_words.h"

static const struct shape text = TAKES(TEXT), name = TAKES(NAME), date = TAKES(DATE), rate = TAKES(RATE),
                          expression = TAKES(EXPRESSION), number = TAKES(NUMBER), percent = TAKES(PERCENT);
static const struct shape weekday = WORDS("mon|tue|wed|thu|fri|sat|sun");
static const struct shape send_type = WORDS("transactional|trigger|mass");

/* A value of vars and set: any scalar, or a list or map of them. */
static const struct shape value;
static const struct shape value = {.scalar = SCALAR_VALUE, .values = &value, .item = &value};

/* ---- what arrives and what is remembered ----------------------------------------------- */

#define TYPE_WORDS "string|number|bool|time|date"

BLOCK(week, "week",
      {"workdays", LIST(weekday), 0, "days on which `next: workday` may fall; default mon to fri"},
      {"holidays", LIST(date), 0, "days that are no working days"});

BLOCK(profiles, "profiles",
      {"anonymous_ttl", TAKES(LIFETIME), 0,
       "people without a user id leave after this long without activity"},
      {"known_ttl", TAKES(LIFETIME), 0, "people with a user id leave after this long without activity"});

static const struct shape type_word = WORDS(TYPE_WORDS);
BLOCK(
    property_block, "a property",
    {"type", {.scalar = SCALAR_WORD, .words = TYPE_WORDS, .item = &type_word}, KEY_REQUIRED, "what it holds"},
    {"from", TAKES(NAME), 0,
     "where it stands in the message, such as context.campaign.source; default properties.NAME"},
    {"coerce", TAKES(BOOL), 0, "take \"1 990,00\" for a number"});
static const struct shape item_fields = {.scalar = SCALAR_WORD, .words = TYPE_WORDS, .values = &type_word};
static const struct shape property = {
    .scalar = SCALAR_WORD, .words = TYPE_WORDS "|object", .block = &property_block, .item = &item_fields};

static const struct shape each_value = SOME(NAME, name);
BLOCK(event_block, "an event", {"keep", TAKES(LIFETIME), 0, "how long its history stays; default 90d"},
      {"cap", TAKES(COUNT), 0, "how many of them one person's history holds exactly; default 256"},
      {"late", TAKES(DURATION), 0, "older than this it starts no journey; default 1h"},
      {"also", SOME(NAME, name), 0, "other names of the same event"},
      {"properties", NAMED(property), 0, "what is remembered of it and may be used in expressions"},
      {"coerce", TAKES(BOOL), 0, "take \"1 990,00\" for a number in all its properties"},
      {"each", NAMED(each_value), KEY_LATER, "one more event per item of a list property"},
      {"broadcast", TAKES(BOOL), KEY_LATER, "has no user: addresses an audience"},
      {"activity", TAKES(BOOL), 0, "false: does not move last_seen"},
      {"description", TAKES(TEXT), 0, "for people"});
static const struct shape event = {.scalar = SCALAR_NOTHING, .block = &event_block};

BLOCK(visits, "visits", {"gap", TAKES(DURATION), 0, "a visit ends after this long without an event"},
      {"of", SOME(NAME, name), 0, "events that make a visit"});

BLOCK(
    attribute_block, "an attribute",
    {"type", {.scalar = SCALAR_WORD, .words = TYPE_WORDS, .item = &type_word}, KEY_REQUIRED, "what it holds"},
    {"identifies", TAKES(BOOL), 0, "a look-up key of the person, such as email"},
    {"normalize", NAMED(text), 0, "spellings and what they are turned into"},
    {"history", TAKES(COUNT), KEY_LATER, "how many former values are kept"},
    {"coerce", TAKES(BOOL), 0, "take \"1 990,00\" for a number"},
    {"from", TAKES(NAME), KEY_LATER, "taken from an event's property, such as Visit Started.utm_source"},
    {"keep", WORDS("first|last"), 0, "which value stays"}, {"description", TAKES(TEXT), 0, "for people"});
static const struct shape attribute = {
    .scalar = SCALAR_WORD, .words = TYPE_WORDS, .block = &attribute_block, .item = &type_word};

BLOCK(collection_block, "a collection",
      {"put", SOME(NAME, name), KEY_REQUIRED, "events that add or change an item"},
      {"drop", SOME(NAME, name), 0, "events that remove one"},
      {"clear", SOME(NAME, name), 0, "events that remove all"},
      {"key", TAKES(NAME), KEY_REQUIRED, "property that tells items apart"},
      {"fields", NAMED(type_word), 0, "what an item holds"},
      {"max", TAKES(COUNT), 0, "items per person; the oldest goes"},
      {"keep", TAKES(LIFETIME), 0, "how long an item stays"});
static const struct shape collection = KEYS(collection_block);

BLOCK(catalog_block, "a catalog", {"key", TAKES(NAME), KEY_REQUIRED, "property that names the thing"},
      {"from", SOME(NAME, name), KEY_REQUIRED, "events that change it"},
      {"fields", NAMED(type_word), KEY_REQUIRED, "what a row holds"});
static const struct shape catalog = KEYS(catalog_block);

BLOCK(revenue_part, "a refund", {"event", TAKES(NAME), KEY_REQUIRED, "the event that takes money back"},
      {"id", TAKES(EXPRESSION), 0, "the order it belongs to"},
      {"value", TAKES(EXPRESSION), KEY_REQUIRED, "how much"});
static const struct shape minus = KEYS(revenue_part);
BLOCK(revenue, "revenue", {"event", TAKES(NAME), KEY_REQUIRED, "the event that brings money"},
      {"id", TAKES(EXPRESSION), 0, "the order; the same one from two sources counts once"},
      {"value", TAKES(EXPRESSION), KEY_REQUIRED, "how much"},
      {"minus", LIST(minus), 0, "events that take money back"});

static const struct shape border = {.scalar = SCALAR_TEXT, .item = &text};
BLOCK(method_block, "method", {"borders", NAMED(border), KEY_REQUIRED, "fixed borders per figure"});
BLOCK(rfm, "rfm", {"recency", TAKES(EXPRESSION), KEY_REQUIRED, "when the person last bought"},
      {"frequency", TAKES(EXPRESSION), KEY_REQUIRED, "how often"},
      {"monetary", TAKES(EXPRESSION), KEY_REQUIRED, "for how much"},
      {"levels", TAKES(COUNT), 0, "of each figure"},
      {"best", TAKES(COUNT), 0, "the number of the best level: 1, or that of levels"},
      {"method",
       {.scalar = SCALAR_WORD, .words = "quantiles", .block = &method_block},
       0,
       "how the borders are found"});

/* ---- segments, lists, audiences ------------------------------------------------------------ */

BLOCK(segment_block, "a segment", {"when", TAKES(EXPRESSION), KEY_REQUIRED, "who belongs"},
      {"description", TAKES(TEXT), 0, "for people"}, {"owner", TAKES(TEXT), 0, "for people"},
      {"expect", TAKES(RANGE), 0, "how many there should be"});
static const struct shape segment = {.scalar = SCALAR_EXPRESSION, .block = &segment_block};

BLOCK(list_block, "a list", {"description", TAKES(TEXT), 0, "for people"},
      {"owner", TAKES(TEXT), 0, "for people"});
static const struct shape list = {.scalar = SCALAR_NOTHING, .block = &list_block};

BLOCK(audience_block, "an audience", {"segment", TAKES(NAME), KEY_REQUIRED, "whom it follows"},
      {"channel", TAKES(NAME), KEY_REQUIRED, "the ad cabinet"},
      {"match", SOME(NAME, name), 0, "attributes the cabinet knows people by"},
      {"hash", WORDS("sha256|md5|none"), 0, "how they are sent"},
      {"consent", TAKES(NAME), 0, "channel or topic whose consent is needed"});
static const struct shape audience = KEYS(audience_block);

/* ---- channels, caps, templates --------------------------------------------------------------- */

BLOCK(free_window, "free_window", {"after", TAKES(NAME), KEY_REQUIRED, "the event that opens it"},
      {"for", TAKES(DURATION), KEY_REQUIRED, "how long"});
BLOCK(channel_block, "a channel",
      {"address", TAKES(EXPRESSION), 0, "where the person is reached; without it the receiver knows"},
      {"consent", WORDS("required|confirmed|not_needed"), 0, "default required; confirmed is double opt-in"},
      {"quiet", TAKES(HOURS), 0, "nothing is sent then, by the person's clock"},
      {"caps", SOME(RATE, rate), 0, "at most so many per window and person"},
      {"cost", TAKES(NUMBER), 0, "of one message"},
      {"to", TAKES(NAME), 0, "the subscriber that gets its actions"},
      {"delivery", WORDS("now|at_visit"), KEY_LATER, "at_visit: parked until the person comes"},
      {"slots", TAKES(COUNT), KEY_LATER, "at_visit: how many are shown at once"},
      {"free_window", KEYS(free_window), KEY_LATER, "when any text may be sent"},
      {"outside", WORDS("approved|nothing"), KEY_LATER, "what may be sent outside the free window"},
      {"description", TAKES(TEXT), 0, "for people"});
static const struct shape channel = {.scalar = SCALAR_NOTHING, .block = &channel_block};

BLOCK(cap_block, "a cap", {"max", TAKES(RATE), 0, "at most so many per window"},
      {"type", WORDS("transactional|trigger|mass"), 0, "only of this type"},
      {"channel", TAKES(NAME), 0, "only on this channel"},
      {"topic", TAKES(NAME), 0, "only of this topic; each: of every topic by itself"},
      {"if", TAKES(EXPRESSION), 0, "only for these people"},
      {"gap", TAKES(DURATION), 0, "at least this long between two"},
      {"between", SOME(NAME, name), 0, "channels the gap stands between"});
static const struct shape cap = KEYS(cap_block);

BLOCK(limit_block, "a limit", {"per", WORDS("hour|day|week|month"), KEY_REQUIRED, "period"},
      {"max", TAKES(COUNT), KEY_REQUIRED, "how many"});
BLOCK(limits, "limits", {"actions", KEYS(limit_block), 0, "of the whole data directory"});

BLOCK(block_rule, "a block rule", {"event", TAKES(NAME), KEY_REQUIRED, "what blocks the address"},
      {"times", TAKES(RATE), 0, "how often it must come"}, {"where", TAKES(EXPRESSION), 0, "which of them"});
static const struct shape rule = KEYS(block_rule);

BLOCK(holdout, "holdout", {"global", TAKES(PERCENT), 0, "of all people get nothing"},
      {"exempt", LIST(send_type), 0, "types they get all the same"});

BLOCK(code_block, "codes", {"file", TAKES(NAME), KEY_REQUIRED, "one code per line"},
      {"low", TAKES(COUNT), 0, "below it an operator is told"}, {"to", TAKES(NAME), 0, "who is told"});
static const struct shape code = KEYS(code_block);

static const struct shape template_part = {.scalar = SCALAR_TEXT, .values = &text};
BLOCK(template_block, "a template",
      {"lang", TAKES(EXPRESSION), 0, "language it is written in for this person"},
      {"fallback", TAKES(NAME), 0, "template used when a value is missing"},
      {"description", TAKES(TEXT), 0, "for people"});
static const struct shape template = {.block = &template_block, .values = &template_part};

/* ---- journeys -------------------------------------------------------------------------------- */

static const struct shape steps, step;
static const struct shape steps = LIST(step);
static const struct shape step = {.scalar = SCALAR_WORD, .words = "end", .block = &step_block};

BLOCK(active, "active", {"from", TAKES(DATE), 0, "first day"}, {"until", TAKES(DATE), 0, "last day"});

BLOCK(schedule, "a schedule", {"every", TAKES(NAME), KEY_REQUIRED, "day, weekday, month, or mon ... sun"},
      {"at", TAKES(CLOCK), 0, "time of day"}, {"zone", TAKES(NAME), 0, "profile, or a zone's name"});
BLOCK(rfm_changed, "rfm_changed", {"from", TAKES(TEXT), 0, "former code"},
      {"to", TAKES(TEXT), 0, "new code"});
BLOCK(trigger_block, "a trigger", {"event", TAKES(NAME), 0, "starts with this event"},
      {"where", TAKES(EXPRESSION), 0, "only if"},
      {"segment_entered", TAKES(NAME), 0, "starts when the person comes into the segment"},
      {"segment_left", TAKES(NAME), 0, "starts when the person leaves it"},
      {"existing", WORDS("enter|ignore"), KEY_LATER, "enter: also those inside at launch"},
      {"rate", TAKES(RATE), KEY_LATER, "at most so many start"},
      {"attribute_changed", TAKES(NAME), 0, "starts when this attribute changes"},
      {"from", TAKES(VALUE), 0, "its former value"}, {"to", TAKES(VALUE), 0, "its new value"},
      {"date", TAKES(EXPRESSION), 0, "starts on this date"},
      {"every", WORDS("year"), 0, "year: each year again"},
      {"offset", TAKES(OFFSET), 0, "before or after the date"},
      {"at", TAKES(CLOCK), 0, "time of day; default 00:00"},
      {"item", TAKES(NAME), KEY_LATER, "starts when an item of this collection changes"},
      {"changed", TAKES(NAME), KEY_LATER, "which field of the item"},
      {"schedule", KEYS(schedule), KEY_LATER, "starts for an audience at set times"},
      {"broadcast", TAKES(NAME), KEY_LATER, "starts for an audience with this event"},
      {"catalog", TAKES(NAME), KEY_LATER, "starts for an audience when a row changes"},
      {"audience", TAKES(EXPRESSION), KEY_LATER, "who"},
      {"rfm_changed",
       {.scalar = SCALAR_BOOL, .block = &rfm_changed},
       KEY_LATER,
       "starts when the RFM code changes"},
      {"manual", TAKES(BOOL), 0, "an operator starts it"});
static const struct shape trigger = {.scalar = SCALAR_WORD, .words = "manual", .block = &trigger_block};

BLOCK(reentry_block, "reentry", {"after", TAKES(DURATION), 0, "again when this long has passed since entry"},
      {"key", TAKES(EXPRESSION), 0, "many at once, one per key"},
      {"while_active", WORDS("ignore|restart|parallel"), 0, "what a trigger does to someone inside"});

BLOCK(conflict, "on_conflict", {"wait", TAKES(DURATION), 0, "the newcomer waits for the lane"});
BLOCK(lane, "lane", {"name", TAKES(NAME), KEY_REQUIRED, "at most one journey of a lane is active per person"},
      {"on_conflict",
       {.scalar = SCALAR_WORD, .words = "refuse|take_over", .block = &conflict},
       0,
       "what happens when it is taken"});

BLOCK(goal, "a goal", {"event", TAKES(NAME), 0, "reached by this event"},
      {"segment", TAKES(NAME), 0, "reached by coming into this segment"},
      {"when", TAKES(EXPRESSION), 0, "reached when this becomes true"},
      {"where", TAKES(EXPRESSION), 0, "only events for which this holds"},
      {"within", TAKES(DURATION), 0, "counted from entry"},
      {"value", TAKES(EXPRESSION), 0, "what it is worth"},
      {"stay", TAKES(BOOL), 0, "true: reaching it does not end the journey"});

BLOCK(exit_block, "an exit", {"event", TAKES(NAME), 0, "leaves on this event"},
      {"where", TAKES(EXPRESSION), 0, "only events for which this holds"},
      {"segment_entered", TAKES(NAME), 0, "leaves on coming into this segment"},
      {"segment_left", TAKES(NAME), 0, "leaves on leaving it"},
      {"when", TAKES(EXPRESSION), 0, "leaves when this becomes true"},
      {"silence", TAKES(DURATION), 0, "leaves after this long without an event"},
      {"after", TAKES(DURATION), 0, "leaves this long after entry"});
static const struct shape exit_shape = KEYS(exit_block);

BLOCK(journey_block, "a journey", {"description", TAKES(TEXT), 0, "for people"},
      {"owner", TAKES(TEXT), 0, "for people"},
      {"state", WORDS("draft|live|paused|closing"), 0, "default live"},
      {"active", KEYS(active), 0, "the days on which people may enter"},
      {"trigger",
       {.scalar = SCALAR_WORD, .words = "manual", .block = &trigger_block, .item = &trigger},
       KEY_REQUIRED,
       "what starts it"},
      {"only_if", TAKES(EXPRESSION), 0, "who may enter"},
      {"reentry",
       {.scalar = SCALAR_WORD, .words = "once|always", .block = &reentry_block},
       0,
       "who may enter again; default once"},
      {"priority", TAKES(INTEGER), 0, "of its sends beside other journeys'; default 0"},
      {"lane", KEYS(lane), KEY_LATER, "at most one active journey of a lane per person"},
      {"holdout", TAKES(PERCENT), 0, "of its people get nothing, for comparison"},
      {"goal", KEYS(goal), 0, "what it is for"},
      {"exit", {.block = &exit_block, .item = &exit_shape}, 0, "what ends it"},
      {"steps", LIST(step), KEY_REQUIRED, "what happens"});
static const struct shape journey = KEYS(journey_block);

/* ---- steps --------------------------------------------------------------------------------------- */

BLOCK(wait_block, "wait", {"id", TAKES(NAME), 0, "name of the step"},
      {"from", WORDS("entry"), 0, "entry: counted from entering the journey"},
      {"for", TAKES(DURATION), 0, "how long"},
      {"until", TAKES(CLOCK), 0, "the next time the person's clock shows this"},
      {"next", WORDS("workday|mon|tue|wed|thu|fri|sat|sun"), 0, "the next such day, never today"},
      {"at", TAKES(CLOCK), 0, "time of that day; default 00:00"},
      {"until_date", TAKES(EXPRESSION), 0, "until this date"},
      {"offset", TAKES(OFFSET), 0, "before or after the date"},
      {"silence", TAKES(DURATION), 0, "until nothing has happened for so long"},
      {"of", SOME(NAME, name), 0, "events that count as something happening; default any"});

BLOCK(branch, "a branch of wait_for", {"event", TAKES(NAME), 0, "this event"},
      {"segment", TAKES(NAME), 0, "coming into this segment"},
      {"when", TAKES(EXPRESSION), 0, "this becoming true"},
      {"where", TAKES(EXPRESSION), 0, "only events for which this holds"},
      {"as", TAKES(NAME), 0, "the name of the event in later expressions"},
      {"then", LIST(step), 0, "what happens then"});
static const struct shape branch_shape = KEYS(branch);
BLOCK(wait_for_block, "wait_for", {"id", TAKES(NAME), 0, "name of the step"},
      {"event", TAKES(NAME), 0, "this event"}, {"segment", TAKES(NAME), 0, "coming into this segment"},
      {"when", TAKES(EXPRESSION), 0, "this becoming true"},
      {"where", TAKES(EXPRESSION), 0, "only events for which this holds"},
      {"as", TAKES(NAME), 0, "the name of the event in later expressions"},
      {"then", LIST(step), 0, "what happens then"},
      {"any", LIST(branch_shape), 0, "several, the first one wins"},
      {"timeout", TAKES(DURATION), 0, "how long to wait"},
      {"else", LIST(step), 0, "what happens at the timeout"});

BLOCK(switch_block, "switch", {"id", TAKES(NAME), 0, "name of the step"},
      {"on", TAKES(EXPRESSION), KEY_REQUIRED, "the value that decides"},
      {"cases", NAMED(steps), KEY_REQUIRED, "steps per value"},
      {"default", LIST(step), 0, "steps for any other value"});

BLOCK(cascade_option, "a channel of a cascade", {"channel", TAKES(NAME), KEY_REQUIRED, "channel"},
      {"wait", TAKES(DURATION), 0, "how long before the next one is tried"});
static const struct shape cascade_item = {.scalar = SCALAR_NAME, .block = &cascade_option};

/* Keys of a send, in its own braces or, for `cascade`, beside it. */
#define SEND_KEYS                                                                                            \
    {"vars", NAMED(value), 0, "values for the template"},                                                    \
        {"topic", TAKES(NAME), 0, "what it is about: consent and caps"},                                     \
        {"type", WORDS("transactional|trigger|mass"), 0,                                                     \
         "default trigger; transactional skips caps and quiet hours"},                                       \
        {"priority", TAKES(INTEGER), 0, "instead of the journey's"},                                         \
        {"value", TAKES(EXPRESSION), 0, "what it is worth: the dearer one goes first"},                      \
        {"expires", TAKES(DURATION), 0, "not sent after this long; default 1d"},                             \
        {"on_expired", WORDS("continue|exit"), 0, "default continue"},                                       \
        {"once", TAKES(BOOL), 0, "never twice to the same person"},                                          \
        {"when", WORDS("now|best_hour"), KEY_LATER, "default now"},                                          \
    {                                                                                                        \
        "until", WORDS("delivered|opened|clicked|replied"), 0, "cascade: what ends it"                       \
    }

BLOCK(send_block, "send", {"id", TAKES(NAME), 0, "name of the step, for opened(...) and reports"},
      {"channel", TAKES(NAME), 0, "through this channel"},
      {"first_of", LIST(name), 0, "through the first of these that reaches the person"},
      {"best_of", LIST(name), KEY_LATER, "through the one the person reacts to most"},
      {"cascade", LIST(cascade_item), 0, "through one after the other until a reaction"},
      {"template", TAKES(FORMULA), KEY_REQUIRED, "what is sent"}, SEND_KEYS);

BLOCK(webhook_block, "webhook", {"id", TAKES(NAME), 0, "name of the step"},
      {"channel", TAKES(NAME), KEY_REQUIRED, "who is called"},
      {"template", TAKES(FORMULA), 0, "what is sent"}, {"vars", NAMED(value), 0, "values for the template"});
BLOCK(task_block, "task", {"id", TAKES(NAME), 0, "name of the step"},
      {"channel", TAKES(NAME), KEY_REQUIRED, "where the task is made"},
      {"to", TAKES(FORMULA), 0, "who shall do it"}, {"title", TAKES(FORMULA), 0, "what shall be done"},
      {"due", TAKES(VALUE), 0, "by when: a duration, or = and an expression"},
      {"template", TAKES(FORMULA), 0, "text of the task"},
      {"vars", NAMED(value), 0, "values for the template"});
BLOCK(audience_step, "the step audience", {"id", TAKES(NAME), 0, "name of the step"},
      {"add", TAKES(NAME), 0, "adds the person to this audience"},
      {"remove", TAKES(NAME), 0, "removes the person from it"},
      {"channel", TAKES(NAME), 0, "the ad cabinet, when no audience of this name is declared"});
BLOCK(unsubscribe_block, "unsubscribe", {"id", TAKES(NAME), 0, "name of the step"},
      {"channel", TAKES(NAME), KEY_REQUIRED, "from this channel"},
      {"topic", TAKES(NAME), 0, "only from this topic"});
BLOCK(control_block, "start, stop or pause", {"id", TAKES(NAME), 0, "name of the step"},
      {"journey", TAKES(NAME), 0, "this journey"},
      {"lane", TAKES(NAME), KEY_LATER, "all journeys of this lane"},
      {"for", TAKES(DURATION), 0, "pause: how long"});
BLOCK(mute_block, "mute", {"id", TAKES(NAME), 0, "name of the step"},
      {"for", TAKES(DURATION), KEY_REQUIRED, "how long nothing is sent"},
      {"types", LIST(send_type), 0, "only of these types; default all but transactional"});

#define NAME_OR(block_name)                                                                                  \
    {                                                                                                        \
        .scalar = SCALAR_NAME, .block = &block_name                                                          \
    }
static const struct key_row step_keys[] = {
    {"id", TAKES(NAME), 0, "name of the step"},
    {"wait", {.scalar = SCALAR_DURATION, .block = &wait_block}, 0, "lets time pass"},
    {"wait_for", KEYS(wait_for_block), 0, "waits for an event, a segment or a condition"},
    {"if", TAKES(EXPRESSION), 0, "goes one way or the other"},
    {"then", LIST(step), 0, "if: when true"},
    {"else", LIST(step), 0, "if: when false"},
    {"switch", KEYS(switch_block), 0, "goes one of several ways"},
    {"split", NAMED(percent), 0, "shares people out at random, for ever the same"},
    {"paths", NAMED(steps), 0, "split: steps of each share"},
    {"send", KEYS(send_block), 0, "sends a message"},
    {"cascade", LIST(cascade_item), 0, "sends through one channel after the other until a reaction"},
    {"template", TAKES(FORMULA), 0, "cascade: what is sent"},
    SEND_KEYS,
    {"webhook", KEYS(webhook_block), 0, "calls another system"},
    {"task", KEYS(task_block), 0, "makes a task for an operator"},
    {"audience", KEYS(audience_step), 0, "adds to or removes from an ad cabinet's audience"},
    {"unsubscribe", KEYS(unsubscribe_block), 0, "withdraws consent"},
    {"set", NAMED(value), 0, "sets attributes"},
    {"add_to", TAKES(NAME), 0, "adds to a list"},
    {"remove_from", TAKES(NAME), 0, "removes from a list"},
    {"start", NAME_OR(control_block), 0, "starts another journey"},
    {"stop", NAME_OR(control_block), 0, "ends another journey"},
    {"pause", NAME_OR(control_block), 0, "holds another journey"},
    {"mute", KEYS(mute_block), 0, "sends nothing for a while"},
    {"goto", TAKES(NAME), 0, "goes on at a step"},
    {"end", TAKES(NOTHING), 0, "ends the journey"},
    {0}};
const struct block step_block = {"a step", step_keys};

/* ---- results, alarms, money ------------------------------------------------------------------------ */

static const struct shape weight = {.scalar = SCALAR_NUMBER, .item = &number};
BLOCK(attribution, "attribution",
      {"window", TAKES(DURATION), 0, "how long after a message a purchase counts for it"},
      {"touch", WORDS("sent|delivered|opened|clicked|replied"), 0, "what counts as a touch"},
      {"model", WORDS("last|first|linear|position"), 0, "how the value is shared out"},
      {"weights", NAMED(weight), 0, "position: shares"});

static const struct shape metric = WORDS("revenue|active|orders|arpu");
BLOCK(cohort_block, "a cohort",
      {"start", TAKES(EXPRESSION), KEY_REQUIRED, "when a person's life in it begins"},
      {"period", WORDS("day|week|month"), KEY_REQUIRED, "how people are grouped"},
      {"metric",
       {.scalar = SCALAR_WORD, .words = "revenue|active|orders|arpu", .item = &metric},
       KEY_REQUIRED,
       "what is followed"},
      {"split", TAKES(EXPRESSION), 0, "one table per value"});
static const struct shape cohort = KEYS(cohort_block);

BLOCK(alarm_block, "an alarm", {"when", TAKES(EXPRESSION), 0, "what is wrong"},
      {"min", TAKES(COUNT), 0, "not before so many"}, {"journey", TAKES(NAME), 0, "watches this journey"},
      {"no_entries", TAKES(DURATION), 0, "nobody entered for so long"},
      {"segment", TAKES(NAME), 0, "watches this segment"},
      {"change", TAKES(PERCENT), 0, "its size moved by so much"},
      {"per", TAKES(DURATION), 0, "within so long"},
      {"to", TAKES(NAME), KEY_REQUIRED, "the channel that tells an operator"});
static const struct shape alarm = KEYS(alarm_block);

BLOCK(report_block, "a report",
      {"every", WORDS("day|mon|tue|wed|thu|fri|sat|sun|month"), KEY_REQUIRED, "when"},
      {"at", TAKES(CLOCK), 0, "time of day"}, {"of", SOME(NAME, name), KEY_REQUIRED, "what it holds"},
      {"to", TAKES(NAME), KEY_REQUIRED, "the channel that tells an operator"});
static const struct shape report_shape = KEYS(report_block);

/* ---- the root ------------------------------------------------------------------------------------------ */

static const struct key_row definition_keys[] = {
    {"timezone", TAKES(NAME), 0, "of a person who has none"},
    {"week", KEYS(week), 0, "working days and holidays"},
    {"profiles", KEYS(profiles), 0, "how long people are remembered"},
    {"strict", TAKES(BOOL), 0, "true: undeclared events are rejected"},
    {"events", NAMED(event), 0, "the event map"},
    {"visits", KEYS(visits), KEY_LATER, "gives Visit Started and Visit Ended"},
    {"attributes", NAMED(attribute), 0, "what is known about a person"},
    {"collections", NAMED(collection), KEY_LATER, "keyed things inside a person"},
    {"catalogs", NAMED(catalog), KEY_LATER, "things that are not people"},
    {"revenue", KEYS(revenue), KEY_LATER, "what a purchase is"},
    {"rfm", KEYS(rfm), KEY_LATER, "recency, frequency, monetary value"},
    {"segments", NAMED(segment), 0, "groups of people, kept up to date to the second"},
    {"lists", NAMED(list), 0, "groups of people, changed by hand or by journeys"},
    {"audiences", NAMED(audience), KEY_LATER, "ad cabinets that follow a segment"},
    {"channels", NAMED(channel), 0, "ways to reach people"},
    {"caps", LIST(cap), KEY_LATER, "how much a person gets at most, beyond a channel's own"},
    {"limits", KEYS(limits), KEY_LATER, "how much leaves at most"},
    {"block", LIST(rule), 0, "what blocks an address"},
    {"holdout", KEYS(holdout), 0, "people who get nothing, for comparison"},
    {"codes", NAMED(code), KEY_LATER, "one-time codes out of a file"},
    {"templates", NAMED(template), 0, "texts"},
    {"journeys", NAMED(journey), 0, "what happens to people over time"},
    {"attribution", KEYS(attribution), KEY_LATER, "how purchases are credited to messages"},
    {"costs", NAMED(expression), KEY_LATER, "what a purchase costs"},
    {"cohorts", NAMED(cohort), KEY_LATER, "groups by when they began"},
    {"alarms", NAMED(alarm), KEY_LATER, "what an operator is told of at once"},
    {"reports", NAMED(report_shape), KEY_LATER, "what an operator is told of regularly"},
    {"values", NAMED(number), 0, "numbers with a name, for value(NAME)"},
    {0}};
const struct block definition_block = {"a definition file", definition_keys};

const char *scalar_expected(enum scalar_kind kind)
{
    static const char *const expected[] = {
#define X(name, text, example) text,
        SCALARS(X)
#undef X
    };
    return expected[kind];
}

const char *scalar_example(enum scalar_kind kind)
{
    static const char *const examples[] = {
#define X(name, text, example) example,
        SCALARS(X)
#undef X
    };
    return examples[kind];
}
