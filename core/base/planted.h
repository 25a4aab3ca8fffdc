/* planted.h - mistakes that the simulator's build can make on purpose, one at a time, to show that its seeds notice them.
 * Everywhere else PLANTED() is the constant 0 and nothing of this is left in the program.
 * Adding one: a row here, `if (PLANTED(name))` where the mistake is made, `sim --mutants` to see it die.
 *   X(name, the promise it breaks, how it is found, what it does)
 * How it is found: SEEDS as they are, POWER (every life ends with a power cut) or FAULTS (most of what happens
 * are errors of the disk), or a drill of tests/sim/drills.c. */
#ifndef HG_BASE_PLANTED_H
#define HG_BASE_PLANTED_H

#define PLANTED_MISTAKES(X)                                                                                  \
    X(ack_before_sync, P1, POWER, "an ack does not wait for the disk")                                       \
    X(ack_before_the_other_shard, P1, POWER, "an ack does not wait for the worker that logs the event")      \
    X(retry_failed_sync, P7, FAULTS, "a failed write is taken for done once a sync succeeds")                \
    X(short_write_accepted, P7, FAULTS, "a short write of a group counts as whole")                          \
    X(no_directory_sync, P1, POWER, "names of log files are never made durable")                             \
    X(snapshot_not_synced, P6, POWER, "slices of a snapshot are not synced")                                 \
    X(payload_crc_not_checked, P9, DAMAGE, "a group's payload is believed")                                  \
    X(header_crc_not_checked, P9, DAMAGE, "a group's header is believed")                                    \
    X(chain_not_checked, P9, DAMAGE, "a group may follow any other")                                         \
    X(durable_mark_ignored, P9, DAMAGE, "a lost durable group passes for a torn tail")                       \
    X(missing_file_not_noticed, P9, DAMAGE, "a log may end without the name behind it")                      \
    X(file_sequence_not_checked, P9, DAMAGE, "a log file under another number is believed")                  \
    X(other_core_replayed, P9, DAMAGE, "a tail of another core version is replayed")                         \
    X(identity_not_synced, P1, FIRST, "names that a killed first start left in a cache are believed")        \
    X(torn_tail_not_cut, P8, POWER, "the log of the last epoch gets no end")                                 \
    X(window_not_in_snapshot, P2, SEEDS, "messages without a time are forgotten by a snapshot")              \
    X(dedup_by_id_only, P2, SEEDS, "two messages of one id and two times pass for one")                      \
    X(snapshot_misses_changed_row, P6, SEEDS, "who changes while a snapshot runs is not in it")              \
    X(snapshot_takes_row_too_late, P6, SEEDS, "who changes while a snapshot runs is in it as changed")       \
    X(merge_preimage_late, P6, SEEDS, "who is merged while a snapshot runs is in it as merged")              \
    X(free_list_not_in_snapshot, P5, SEEDS, "free slots are listed in another order")                        \
    X(queue_not_in_snapshot, P21, SEEDS, "messages on their way are forgotten by a snapshot")                \
    X(parked_not_in_snapshot, P21, SEEDS, "records that wait for a merge are forgotten by a snapshot")       \
    X(sender_does_not_regenerate, P21, POWER, "a replay does not make messages again")                       \
    X(merge_applied_twice, P22, SEEDS, "a repeated message is applied again")                                \
    X(snapshot_lsn_off_by_one, P6, SEEDS, "a snapshot claims one record more than it holds")                 \
    X(received_not_in_snapshot, P21, SEEDS, "which messages came is forgotten by a snapshot")                \
    X(sent_not_in_snapshot, P21, SEEDS, "the numbers of sent messages begin anew after a snapshot")          \
    X(merge_loses_parked, P21, SEEDS, "the first record that waited for a merge is dropped")                 \
    X(forward_not_left, P23, SEEDS, "a merged id leaves no link to the survivor")                            \
    X(wake_back_dated, P13, SEEDS, "a wake-up runs at the second it was armed for")                          \
    X(cancelled_timer_fires, P14, SEEDS, "an exit does not take people out")                                 \
    X(next_change_late, P13, SEEDS, "a person wakes one second late")                                        \
    X(wheel_near_off_by_one, P13, WHEEL, "the first level takes one second too many")                        \
    X(wheel_middle_off_by_one, P13, WHEEL, "the wrong block of the second level moves down")                 \
    X(wheel_high_off_by_one, P13, WHEEL, "the wrong block of the third level moves down")                    \
    X(cap_one_too_many, P18, SEEDS, "a cap lets one message more pass")                                      \
    X(quiet_ignored_at_retry, P18, SEEDS, "a deferred message does not mind quiet hours")                    \
    X(confirmed_before_durable, P20, POWER, "a confirmation is answered before it is durable")               \
    X(action_id_names_second, P19, SEEDS, "an action's id depends on when it was made")                      \
    X(outbox_position_lost, P20, SEEDS, "the outbox counts anew from its oldest action")                     \
    X(definitions_skip_people, P31, SEEDS, "new segments are not asked of those who are there")              \
    X(holdout_by_slot, P19, SEEDS, "who is held out depends on where the person lies")                       \
    X(fold_loses_one, P3, SEEDS, "what a full history gives up is not counted")

enum planted {
    PLANTED_NONE,
#define X(name, promise, found_by, what) PLANTED_##name,
    PLANTED_MISTAKES(X)
#undef X
        PLANTED_COUNT
};

#ifdef HG_SIM
extern enum planted planted; /* tests/sim/mutants.c */
#define PLANTED(name) (planted == PLANTED_##name)
#else
#define PLANTED(name) 0
#endif

#endif
