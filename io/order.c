#include "io/order.h"

#include <stddef.h>
#include <string.h>

bool order_known(const char *name)
{
    return !name || strcmp(name, "sender") == 0 || strcmp(name, "arrival") == 0;
}

void order_init(struct order *o, const char *name, bool test_clock, uint32_t threads)
{
    o->on = threads > 1 && (name ? strcmp(name, "sender") == 0 : test_clock);
    atomic_init(&o->given, 0);
    atomic_init(&o->over, 0);
}
