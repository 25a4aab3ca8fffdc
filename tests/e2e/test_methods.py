"""The admin methods one by one: what each says of a shop in which everything has happened once, and how it refuses what is
not its parameters."""
import contextlib

import msgpack

import harness
from harness import Failure, Server, expect

START = '2026-03-01T10:00:00Z'
NOON = 1772366400  # 2026-03-01T12:00:00Z
SHOP = """
events:
  Order Completed: {keep: 365d, properties: {total: number, tags: [string]}}
  Ask: {keep: 30d}
attributes:
  email: {type: string, identifies: true}
  phone: string
  born: time
  tags: [string]
channels:
  email: {address: profile.email, consent: required, caps: [2 per 1d], quiet: "21:00-09:00"}
  sms: {address: profile.phone, consent: not_needed, to: pager}
  crm: {consent: not_needed}
  web_push: {consent: required}
lists:
  staff: {description: Our own people}
segments:
  buyers: {when: 'count("Order Completed") > 0', description: Who bought}
  old_friends: 'ago("Order Completed") > days(3) || now - profile.born > days(365) || in_list("staff")'
  tagged: 'profile.tags != ["none"] && !(count("Ask") > 2)'
templates:
  thanks: {email: {subject: Thanks, text: "For {{ trigger.total | default: 'nothing' }}"}}
  hello: {email: {subject: Hello, text: Hello}}
journeys:
  after_order:
    description: Thanks and a call
    state: live
    trigger: {event: Order Completed}
    only_if: '!in_list("staff") && (e.total > 5 || e.total < 0)'
    reentry: always
    exit: [{after: 30d}]
    goal: {event: Ask}
    steps:
      - send: {id: mail, channel: email, template: thanks, vars: {total: =trigger.total}}
      - send: {id: text, channel: sms, template: opaque}
      - task: {id: call, channel: crm, to: sales, title: Call}
      - add_to: staff
      - wait: {id: rest, for: 5d}
  once_only:
    state: live
    trigger: {event: Ask}
    reentry: once
    exit: [{after: 1d}]
    goal: {event: Order Completed}
    steps: [{send: {id: first, channel: email, template: hello}}]
  half:
    state: live
    trigger: {event: Ask}
    holdout: 99%
    exit: [{after: 20d}]
    goal: {event: Order Completed}
    steps: [{wait: 10d}]
  from_home: {state: live, trigger: {event: Ask, where: context.page.path == "/"}, exit: [{after: 9d}], goal: {event: Order Completed}, steps: [{wait: 1d}]}
  drafted: {state: draft, trigger: manual, exit: [{after: 1d}], goal: {event: Ask}, steps: [{wait: 1h}]}
  by_hand: {state: live, trigger: manual, reentry: {after: 1h}, exit: [{after: 9d}], goal: {event: Ask}, steps: [{wait: 1h}, {wait: 2d}, {wait: 1d}]}
"""


def track(user, event, minute, **properties):
    return {'type': 'track', 'userId': user, 'event': event, 'messageId': '%s-%s-%d' % (user, event, minute),
            'timestamp': '2026-03-01T%02d:%02d:00Z' % (12 + minute // 60, minute % 60), 'properties': properties}


def known(user, **traits):
    return {'type': 'identify', 'userId': user, 'messageId': 'i' + user, 'timestamp': '2026-03-01T11:00:00Z',
            'traits': dict({'email': user + '@example.org'}, **traits)}


@contextlib.contextmanager
def shop(build, *messages, arguments=()):
    with Server(build, SHOP, ['--fake-clock', START, '--shards', 2, *arguments]) as s:
        s.cli('ingest', '--follow-clock', harness.write_lines(s.home / 'm.ndjson', messages))
        yield s
        s.stop()


def refusal(s, method, *params):
    try:
        return 'answered: %r' % s.call(method, *params)
    except Failure as failure:
        return str(failure)


def test_wrong_parameters_are_refused_by_name_and_change_nothing(build):
    with shop(build, known('u1'), track('u1', 'Order Completed', 0, total=10)) as s:
        before = s.call('sys.state_hash')
        for said, method, *params in (
                ('id is a text', 'profile.get'), ('id is a text', 'profile.get', 7), ('id is a text', 'profile.why'), ('name', 'segment.count', 5),
                ('no segment nope', 'segment.count', 'nope'), ('name', 'segment.members'), ('no segment nope', 'segment.members', 'nope'),
                ('at least 1', 'segment.members', {'name': 'buyers', 'limit': 0}), ('at least 1', 'segment.members', {'name': 'buyers', 'after': 2**63}),
                ('at most 16 columns', 'segment.members', {'name': 'buyers', 'columns': ';'.join(['1'] * 17)}),
                ('error', 'segment.members', {'name': 'buyers', 'columns': '1; nonsense('}), ('name', 'segment.overlap', 'buyers'),
                ('no segment x', 'segment.overlap', 'buyers', 'x'), ('no segment x', 'segment.overlap', 'x', 'buyers'),
                ('name and id are texts', 'segment.explain', 'buyers'), ('no segment x', 'segment.explain', 'x', 'u1'), ('not_found', 'segment.explain', 'buyers', 'u9'),
                ('expression is a text', 'query.count'), ('expression is a text', 'query.count', 1), ('error', 'query.count', 'profile.nope > 1'),
                ("journey's name is a text", 'journey.show'), ('no journey x', 'journey.show', 'x'), ('no journey x', 'profile.why', 'u1', 'x'),
                ('command is enroll', 'journey.control'), ('command is enroll', 'journey.control', 'enrol', 'by_hand', 'u1'),
                ('no journey x', 'journey.control', 'enroll', 'x', 'u1'), ('id is a text', 'journey.control', 'enroll', 'by_hand'),
                ('not_found', 'journey.control', 'enroll', 'by_hand', 'u9'), ('template and id are texts', 'template.preview', 'thanks'),
                ('files is a map', 'definitions.check'), ('files is a map', 'definitions.check', {'files': []}),
                ('files is a map', 'definitions.check', {'files': {'a.yaml': 5}}), ('files is a map', 'definitions.apply', {'files': {5: 'x'}}),
                ('version is a number', 'definitions.text'), ('version is a number', 'definitions.text', -1), ('version is a number', 'definitions.text', 2**40),
                ('version', 'definitions.text', 99), ('name is a text', 'actions.subscribe'), ('name is a text', 'actions.subscribe', ''),
                ('at most 64', 'actions.subscribe', 'x', ['c'] * 65), ('list of texts', 'actions.subscribe', 'x', [5]),
                ('32 hex digits', 'actions.ack'), ('32 hex digits', 'actions.ack', []), ('32 hex digits', 'actions.ack', ['00']),
                ('32 hex digits', 'actions.ack', ['0' * 31 + 'g']), ('32 hex digits', 'actions.ack', [5]), ('32 hex digits', 'actions.ack', ['0' * 32] * 10001),
                ('at least 1', 'actions.queue', {'limit': 0}), ('no journey x', 'actions.test', 'x', 'mail', 'me'), ('texts', 'actions.test', 'after_order', 'mail'),
                ('texts', 'actions.test', 'after_order', 'mail', ''), ('512 bytes', 'actions.test', 'after_order', 'mail', 'x' * 513),
                ('no message call', 'actions.test', 'after_order', 'call', 'me'), ('kinds are', 'events.tail', {'kinds': ['everything']}),
                ('kinds are', 'events.tail', {'kinds': [5]}), ('at least 1', 'profile.export', {'limit': 0}), ('at least 1', 'profile.export', {'after': 2**63}),
                ('absolute path', 'backup.start'), ('absolute path', 'backup.start', 'here'), ('absolute path', 'backup.start', ''),
                ('absolute path', 'backup.start', '/tmp/a\0b'), ('say {to: TIME}', 'clock.advance'), ('say {to: TIME}', 'clock.advance', {'by': 'soon'}),
                ('say {to: TIME}', 'clock.advance', {'to': 5.5}), ('say {to: TIME}', 'clock.advance', {'by': 2**32 - 1}), ('', 'clock.advance', {'to': START}),
                ('request_id is a text', 'journey.control', {'command': 'enroll', 'name': 'by_hand', 'id': 'u1', 'request_id': 'x' * 65}),
                ('request_id is a text', 'journey.control', {'command': 'enroll', 'name': 'by_hand', 'id': 'u1', 'request_id': ''}),
                ('request_id is a text', 'journey.control', {'command': 'enroll', 'name': 'by_hand', 'id': 'u1', 'request_id': 5})):
            answer = refusal(s, method, *params)
            expect((answer.startswith(method + ': {'), said in answer), (True, True), '%s %r: %s' % (method, params, answer[:300]))
        expect(s.call('sys.state_hash'), before, 'state')


def states(s, user):
    return [m['state'] for m in s.call('profile.get', user)['messages']]


def test_a_profile_has_all_that_is_known_of_a_person(build):
    with shop(build, known('u1', tags=['a', 'b'], born='1990-03-12', consent={'email': {'state': 'granted', 'topics': {'promo': 'denied'}}}),
              track('u1', 'Order Completed', 0, total=10), track('u1', 'Ask', 1), track('u1', 'Unheard Of', 2), known('u2'),
              track('u2', 'Order Completed', 3, total=7)) as s:
        one, two = s.call('profile.get', 'user:u1'), s.call('profile.get', 'email:u2@example.org')
        expect(one['attributes'], {'email': 'u1@example.org', 'born': '1990-03-12T00:00:00Z', 'tags': ['a', 'b']}, 'attributes')
        expect({name: e['count'] for name, e in one['events'].items()}, {'identify': 1, 'Order Completed': 1, 'Ask': 1, 'Unheard Of': 1}, 'events')
        expect([(c['channel'], c['state'], c['topic'] != 0) for c in one['consent']], [('email', 'granted', False), ('email', 'denied', True)], 'consent')
        expect((one['lists'], one['holdouts'], [x['name'] for x in one['segments']]), (['staff'], ['half'], ['buyers', 'old_friends', 'tagged']), 'lists')
        expect([(m['step'], m['state'], m['suppressed_reason']) for m in one['messages']],
               [('mail', 'created', None), ('text', 'suppressed', 'no_address'), ('first', 'created', None)], 'messages')
        expect([(j['name'], j['step']) for j in two['journeys']], [('after_order', 'rest')], 'where u2 stands')
        expect([(e['event'], e['properties']) for e in one['recent']][:3], [('Unheard Of', {}), ('Ask', {}), ('Order Completed', {'total': 10.0})], 'recent')
        people = []
        after = 0
        while after is not None:
            page = s.call('profile.export', {'after': after, 'limit': 1})
            people, after = people + page['people'], page['next']
        found = next(p for p in people if p['user_id'] == 'u1')
        expect((found['lists'], found['consent'], found['attributes']['tags'][0]), (['staff'], {'email': 'granted'}, ['a', 'b']), 'exported')


def test_a_message_shows_the_last_that_was_heard_of_it(build):
    with shop(build, known('u1', consent={'email': True}), track('u1', 'Order Completed', 0, total=10)) as s:
        mail = next(a for a in s.call('actions.queue', 'email')['actions'])
        expect(states(s, 'u1')[0], 'created', 'before')
        expect(s.call('actions.ack', mail['action_id'])['confirmed'], 1, 'confirmed')
        expect(states(s, 'u1')[0], 'sent', 'handed over')
        for n, word in enumerate(('Delivered', 'Opened', 'Clicked', 'Replied', 'Failed', 'Bounced', 'Complained')):
            outcome = track('u1', 'Message ' + word, 10 + n, action_id=mail['action_id'], channel='email')
            s.cli('ingest', harness.write_lines(s.home / 'o.ndjson', [outcome]))
            expect(states(s, 'u1')[0], word.lower(), word)


def test_what_the_night_holds_is_deferred(build):
    with shop(build, known('u1', consent={'email': True}), track('u1', 'Order Completed', 9 * 60 + 30, total=10)) as s:
        one = s.call('profile.get', 'u1')
        expect([(d['journey'], d['step'], d['until']) for d in one['deferred']], [('after_order', 'mail', NOON + 21 * 3600)], 'until nine')
        why = s.call('profile.why', 'u1', 'after_order')[0]
        expect((why['decision'], why['until'], why['inside']['does']), ('quiet', NOON + 21 * 3600, 'send'), 'why')


def test_explain_shows_durations_lists_and_what_follows_from_unknown_parts(build):
    with shop(build, known('u1', tags=['a', 'b'], born='1990-03-12'), track('u1', 'Order Completed', 0, total=10), known('u2'), track('u2', 'Ask', 2)) as s:
        def parts(segment, user):
            return {p['text']: (p['value'], p['type'], p['true']) for p in s.call('segment.explain', segment, user)['parts']}
        friends = parts('old_friends', 'u1')
        expect((friends['ago("Order Completed")'], friends['now - profile.born']), (('2m', 'duration', False), ('13138d12h2m', 'duration', False)), 'durations')
        expect((friends['in_list("staff")'][2], friends['profile.born'] if 'profile.born' in friends else None), (True, None), 'list')
        expect(parts('old_friends', 'u2')['now - profile.born'], (None, 'none', False), 'nothing is known of it')
        tagged = parts('tagged', 'u1')
        expect((tagged['profile.tags'], tagged['!(count("Ask") > 2)'], tagged['count("Ask")']), ((['a', 'b'], 'list', False), (True, 'bool', True), (0, 'number', False)), 'tags')
        only_if = {p['text']: p['true'] for p in s.call('profile.why', 'u1', 'after_order')[0]['only_if']}
        expect((only_if['!in_list("staff")'], only_if['e.total > 5'], only_if['!in_list("staff") && (e.total > 5 || e.total < 0)']), (False, None, False), 'u1')
        only_if = {p['text']: p['true'] for p in s.call('profile.why', 'u2', 'after_order')[0]['only_if']}
        expect((only_if['!in_list("staff")'], only_if['e.total > 5 || e.total < 0'], only_if['!in_list("staff") && (e.total > 5 || e.total < 0)']), (True, None, None), 'u2')


def test_members_come_with_the_columns_that_were_asked_for(build):
    with shop(build, known('u1'), track('u1', 'Order Completed', 0, total=10), track('u2', 'Order Completed', 1, total=1)) as s:
        found = s.call('segment.members', {'name': 'buyers', 'columns': 'profile.email; count("Order Completed"); has(profile.email)'})
        expect(sorted((m['user_id'], m['columns']) for m in found['members']), [('u1', ['u1@example.org', 1, True]), ('u2', [None, 1, False])], 'columns')
        pages, after = [], 0
        while after is not None:
            page = s.call('segment.members', {'name': 'buyers', 'limit': 1, 'after': after})
            pages, after = pages + page['members'], page['next']
        expect(sorted(m['user_id'] for m in pages), ['u1', 'u2'], 'one at a time')
        expect('columns' in pages[0], False, 'none asked for')
        expect((s.call('segment.count', 'buyers')['members'], s.call('segment.count', 'buyers')['description']), (2, 'Who bought'), 'count')
        expect([x['name'] for x in s.call('segment.list')], ['buyers', 'old_friends', 'tagged'], 'list')


def test_a_journey_is_shown_with_its_steps_and_obeys_its_operator(build):
    with shop(build, known('u1')) as s:
        def place():
            return [(j['name'], j['step']) for j in s.call('profile.get', 'u1')['journeys']]
        shown = s.call('journey.show', 'after_order')
        expect([(x['id'], x['kind']) for x in shown['steps']], [('mail', 'send'), ('text', 'send'), ('call', 'task'), ('3', 'add_to'), ('rest', 'wait')], 'steps')
        expect((shown['state'], shown['description'], s.call('journey.report', 'after_order')), ('live', 'Thanks and a call', shown), 'report')
        expect([(j['name'], j['state'], 'steps' in j) for j in s.call('journey.list')][-2:], [('drafted', 'draft', False), ('by_hand', 'live', False)], 'list')
        for command, wanted in (('enroll', [('by_hand', '0')]), ('skip', [('by_hand', '1')]), ('restart', [('by_hand', '0')]), ('cancel', [])):
            s.call('journey.control', command, 'by_hand', 'u1')
            expect(place(), wanted, command)
        expect(s.call('journey.show', 'by_hand')['counters']['entered'], 2, 'the restart is an entry')


def test_questions_know_journeys_consent_and_the_context_of_an_event(build):
    def asks(user, path):
        return dict(track(user, 'Ask', 0), context={'page': {'path': path}})

    with shop(build, known('u1', consent={'web_push': True}), asks('u1', '/'), asks('u2', '/cart')) as s:
        def counted(expression):
            return s.call('query.count', expression)['count']
        expect((counted('in_journey("from_home")'), counted('consent("web_push")')), (1, 1), 'before')
        s.cli('ingest', harness.write_lines(s.home / 'p.ndjson', [track('u1', 'Push Disabled', 1)]))
        s.call('journey.control', 'cancel', 'from_home', 'u1')
        expect((counted('in_journey("from_home")'), counted('consent("web_push")')), (0, 0), 'after')
        expect([(c['channel'], c['state']) for c in s.call('profile.get', 'u1')['consent']], [('web_push', 'denied')], 'taken back by the browser')


def test_a_person_is_found_by_the_last_of_many_attributes_that_identify(build):
    traits = ['card%d' % i for i in range(40)]
    definitions = 'events:\n  Ask: {keep: 30d}\nattributes:\n' + ''.join('  %s: {type: string, identifies: true}\n' % t for t in traits)
    with Server(build, definitions) as s:
        s.cli('ingest', harness.write_lines(s.home / 'm.ndjson', [{'type': 'identify', 'userId': 'u1', 'messageId': 'i', 'traits': {t: 'of ' + t for t in traits}}]))
        for t in (traits[0], traits[-1]):
            expect(s.call('profile.get', 'of ' + t)['user_id'], 'u1', 'whoever has this as ' + t)
        expect('not_found' in refusal(s, 'profile.get', 'of nobody'), True, 'nobody has it')


def test_definitions_are_checked_and_nothing_changes(build):
    with shop(build, known('u1')) as s:
        before = s.call('definitions.get')
        good = s.call('definitions.check', {'files': {'shop.yaml': SHOP}})
        bad = s.call('definitions.check', {'files': {'shop.yaml': 'segments: {x: cuont("Ask") > 0}', 'b.yaml': 'events: {Ask: {}}'}})
        expect((good['ok'], good['errors']), (True, 0), 'good')
        expect((bad['ok'], bad['errors'], 'shop.yaml:1:' in bad['messages']), (False, 1, True), 'bad')
        expect(s.call('definitions.get'), before, 'in force')
        expect(s.call('definitions.text', 1)['files'], {'shop.yaml': SHOP}, 'its text')
        refused = refusal(s, 'definitions.apply', {'files': {'shop.yaml': 'segments: {x: cuont("Ask") > 0}'}})
        expect(('refused' in refused, 'shop.yaml:1:' in refused), (True, True), refused)


def told(rpc, method, count):
    """The next of what this connection is told unasked."""
    found = []
    while len(found) < count:
        name, params = rpc.notification()
        expect(name, method, 'a notification')
        found += params
    return found


def taken(rpc, count):
    return sorted((a['channel'], a['step']) for a in told(rpc, 'actions', count))


def test_each_channel_goes_to_one_reader_and_to_another_when_it_leaves(build):
    with shop(build, known('u1', phone='+7900', consent={'email': True}), track('u1', 'Order Completed', 0, total=10)) as s:
        first, pager, second = s.rpc(), s.rpc(), s.rpc()
        first.call('actions.subscribe', 'dispatch', ['crm', 'email'])
        expect(taken(first, 2), [('crm', 'call'), ('email', 'mail')], 'all but the channel that names its receiver')
        pager.call('actions.subscribe', {'name': 'pager'})
        expect(taken(pager, 1), [('sms', 'text')], 'the receiver that its channel names')
        second.call('actions.subscribe', {'name': 'spare', 'channels': ['crm']})
        expect(second.call('actions.queue', 'crm')['actions'][0]['step'], 'call', 'looking takes nothing')
        expect(second.take_notifications(), [], 'nothing while the first is there')
        first.call('actions.subscribe', 'dispatch')  # anew, and now behind the others
        first.close()
        pager.close()
        expect(taken(second, 1), [('crm', 'call')], 'what was not confirmed comes to the next, if it takes that channel')
        second.close()
        for channel, wanted in (('email', ['mail']), ('sms', ['text']), ('fax', [])):
            expect([a['step'] for a in s.call('actions.queue', channel)['actions']], wanted, channel)
        queue, after = [], 0
        while after is not None:
            page = s.call('actions.queue', {'limit': 1, 'after': after})
            queue, after = queue + page['actions'], page['next']
        expect([a['step'] for a in queue], ['mail', 'text', 'call'], 'one page after the other')


def test_a_tail_shows_what_it_was_asked_for(build):
    with shop(build, known('u1', consent={'email': True})) as s:
        tails = {kind: s.rpc() for kind in ('events', 'transitions', 'actions', 'rejects')}
        for kind, rpc in tails.items():
            rpc.call('events.tail', {'kinds': [kind]} if kind != 'events' else {'kinds': 'events'})
        both = s.rpc()
        both.call('events.tail')
        s.cli('ingest', harness.write_lines(s.home / 'm.ndjson', [track('u1', 'Order Completed', 0, total=10), dict(track('u1', 'Ask', 1), type='nonsense')]), check=False)
        event = told(tails['events'], 'tail', 1)[0]
        expect((event['kind'], event['outcome'], event['event']), ('event', 'applied', 'Order Completed'), 'event')
        reject = told(tails['rejects'], 'tail', 1)[0]
        expect((reject['kind'], reject['outcome'], bool(reject['reason'])), ('reject', 'rejected', True), 'reject')
        moves = [(m['what'], m['journey'], m['step']) for m in told(tails['transitions'], 'tail', 4)]
        expect(moves[0], ('enter', 'after_order', moves[0][2]), 'transitions: %r' % moves)
        expect(any(what == 'suppress' and step == 'text' for what, _, step in moves), True, 'suppressed: %r' % moves)
        expect({a['step'] for a in told(tails['actions'], 'tail', 2)}, {'mail', 'call'}, 'actions')
        expect({line['kind'] for line in told(both, 'tail', 2)}, {'event', 'reject'}, 'without kinds')
        for rpc in [both, *tails.values()]:
            rpc.close()


def pipelined(s, *calls):
    """The answers [error, result] of requests that arrive together, in their order."""
    rpc, answers = s.rpc(), {}
    rpc.socket.sendall(b''.join(msgpack.packb([0, i, method, list(params)]) for i, (method, *params) in enumerate(calls)))
    while len(answers) < len(calls):
        rpc.receive()
        answers.update({answer[1]: answer[2:] for answer in rpc.unpacker})
    rpc.close()
    return [answers[i] for i in range(len(calls))]


def test_what_runs_once_at_a_time_is_busy_the_second_time(build):
    with shop(build, known('u1')) as s:
        backup = str(s.home / 'backup')
        for calls in ((('snapshot.start',), ('snapshot.start',)), (('snapshot.start',), ('backup.start', backup)),
                      (('definitions.apply', {'files': {'shop.yaml': SHOP + '# 1'}}), ('definitions.apply', {'files': {'shop.yaml': SHOP + '# 2'}})),
                      (('backup.start', backup), ('snapshot.start',)),
                      (('clock.advance', {'by': '1h'}), ('clock.advance', {'by': '1h'}))):
            one, two = pipelined(s, *calls)
            expect((one[0], two[0] and two[0]['name']), (None, 'busy'), repr(calls)[:80])
        expect(s.call('snapshot.start')['number'] > 1, True, 'afterwards it is not')


def test_a_wall_clock_is_not_advanced_and_nothing_is_to_be_accepted(build):
    with Server(build, SHOP) as s:
        expect('not_a_test_clock' in refusal(s, 'clock.advance', {'by': '1h'}), True, 'advance')
        expect(s.call('clock.accept'), {'moved_s': 0}, 'accept')
        s.stop()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def changed(requests, at, byte):
    """The file `requests` with another byte in it, and its checksum made right again (persist/FORMAT.md)."""
    body = requests[8:at] + bytes([byte]) + requests[at + 1:]
    return requests[:4] + crc32c(body).to_bytes(4, 'little') + body


COUNT, STATE = 10, 12 + 32  # of the calls; of the first one


def test_a_damaged_memory_of_calls_stops_the_start(build):
    with shop(build, known('u1')) as s:
        s.call('journey.control', {'command': 'enroll', 'name': 'by_hand', 'id': 'u1', 'request_id': 'r1'})
        s.stop()
        requests = s.data / 'requests'
        whole = requests.read_bytes()
        for spoilt in (whole[:5], whole[:20] + bytes([whole[20] ^ 1]) + whole[21:], changed(whole, COUNT, 2), changed(whole, COUNT, 0),
                       changed(whole, STATE, 0), changed(whole, STATE, 3), changed(whole, STATE + 1, 200)):
            requests.write_bytes(spoilt)
            try:
                s.start()
                raise AssertionError('it started')
            except Failure:
                expect((s.process.returncode, 'event=requests' in s.stderr()), (65, True), s.stderr())
            (s.home / 'stderr').write_text('')
        requests.write_bytes(whole)
        s.start()


def test_of_a_call_that_a_crash_cut_short_nobody_knows_the_outcome(build):
    with shop(build, known('u1')) as s:
        call = {'command': 'enroll', 'name': 'by_hand', 'id': 'u1', 'request_id': 'r1'}
        s.call('journey.control', call)
        s.stop()
        requests = s.data / 'requests'
        requests.write_bytes(changed(requests.read_bytes(), STATE, 1))  # as it was before the answer
        s.start()
        expect('unknown_outcome' in refusal(s, 'journey.control', call), True, 'a repetition')
        expect('request_id_reused' in refusal(s, 'journey.control', dict(call, command='cancel')), True, 'another call')
        expect(s.call('journey.show', 'by_hand')['counters']['entered'], 1, 'entered once')


def test_who_subscribed_goes_on_when_another_connection_confirms(build):
    people = 600  # a message and a task each: more than the 1024 that may be unconfirmed
    with shop(build, *[known('u%d' % i, phone='1') for i in range(people)], *[track('u%d' % i, 'Order Completed', 0, total=10) for i in range(people)]) as s:
        reader, other, found = s.rpc(), s.rpc(), []
        reader.call('actions.subscribe', {'name': 'pager'})  # and, being alone, the default reader
        while len(found) < 2 * people:
            params = reader.notification()[1]
            found += [a['action_id'] for a in params]
            expect(other.call('actions.ack', [a['action_id'] for a in params])['confirmed'], len(params), 'confirmed')
        expect((len(set(found)), s.stats()['outbox']['pending']), (2 * people, 0), 'each once')
        reader.close()
        other.close()
