/* log.h - what the daemon tells its operator: one logfmt line per event on stderr, never payload, never a key.
 *   ts=2026-03-01T10:00:00Z level=info event=ready ingest=tcp://127.0.0.1:24224 ...
 * One write per line. */
#ifndef HG_IO_LOG_H
#define HG_IO_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO };
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
