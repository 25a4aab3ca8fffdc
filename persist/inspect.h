/* inspect.h - what `hourglass inspect FILE` shows: any file of a data directory, read by a second decoder.
 * It reads the bytes as FORMAT.md describes them and shares only the checksum with the code that writes them, so that
 * a mistake in one of the two shows. It never prints the hash secret.
 * Fails: returns the exit code: 0 whole, 3 something in it is wrong (each place is printed), 65 not one of our files or
 * cannot be repaired, 74 could not be read or written. */
#ifndef HG_PERSIST_INSPECT_H
#define HG_PERSIST_INSPECT_H

#include <stdbool.h>
#include <stdio.h>

struct inspect_options {
    const char
        *find;    /* print only records (of a log) or offsets (elsewhere) that hold this text; NULL: none */
    bool records; /* print every record of a log */
    bool
        repair; /* a log of the last epoch: give up everything from the first damage on; the server is stopped */
};
int inspect_file(const char *path, const struct inspect_options *options, FILE *out);

#endif
