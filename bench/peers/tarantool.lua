-- Profiles and timers of the comparison: tarantool tarantool.lua PORT DIRECTORY WAL_MODE
-- A profile is a tuple of 17 fields without names: id, ten counters, total, sum, at, city, event (and fields are cheaper than
-- names). Field numbers in operations start at 0 on the wire and at 1 here.
local port, directory, mode = arg[1], arg[2], arg[3]
box.cfg{listen = '127.0.0.1:' .. port, wal_mode = mode, memtx_memory = 4 * 1024 ^ 3, work_dir = directory, log = 'log',
        log_level = 2, readahead = 4 * 1024 * 1024, net_msg_max = 4096, checkpoint_interval = 0}
box.schema.user.grant('guest', 'super', nil, nil, {if_not_exists = true})
local profiles = box.schema.space.create('profiles')
profiles:create_index('id', {type = 'hash', parts = {{1, 'string'}}})
local timers = box.schema.space.create('timers')
timers:create_index('id', {type = 'hash', parts = {{1, 'string'}}})
timers:create_index('due', {type = 'tree', unique = false, parts = {{2, 'unsigned'}}})

local fresh = {'', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', ''}
local changes = {{'+', 0, 1}, {'+', 12, 1}, {'+', 13, 0}, {'=', 14, 0}, {'=', 15, ''}, {'=', 16, ''}}
function event(id, kind, cents, at, city, name)
    fresh[1] = id
    changes[1][2], changes[3][3], changes[4][3], changes[5][3], changes[6][3] = kind + 2, cents, at, city, name
    box.begin()
    profiles:upsert(fresh, changes)
    timers:replace{id, at + 3600000}
    box.commit()
end
print('ready ' .. profiles.id .. ' ' .. timers.id)
io.flush()
