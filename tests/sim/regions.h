/* regions.h - core/base/region.h for the simulated node, in place of core/base/region.c: what one life reserved serves the
 * next one. A life makes some hundred regions and writes a page or two into most of them; to map them and to give them back
 * took longer than everything else in it.
 * Owner: the process of the seed. Memory: committed by the page, so that a write past what was reserved is met early. */
#ifndef HG_SIM_REGIONS_H
#define HG_SIM_REGIONS_H

void regions_abandon(void); /* the node is gone: all of its regions are free, and zero again */

#endif
