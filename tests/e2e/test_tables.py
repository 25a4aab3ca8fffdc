"""The tables that say which test proves what name tests that exist."""
import re

from harness import ROOT, expect

TABLES = ('PROMISES.md', 'BADINPUT.md')
NAMES = (r'Test\(\w+,\s*(\w+)', r'Test\((\w+),', r'def (test_\w+)', r'^\s*X\((\w+)')


def names_there_are():
    found = {'WAKES_PER_TURN', 'ROWS'}
    for path in [*ROOT.glob('tests/**/*'), ROOT / 'core/base/planted.h', ROOT / 'persist/crash.h']:
        if path.suffix in ('.c', '.h', '.py') and 'node_modules' not in path.parts:
            found |= {path.stem, path.name}
            text = path.read_text(encoding='utf-8')
            for pattern in NAMES:
                found |= set(re.findall(pattern, text, re.MULTILINE))
    return found


def is_there(name, names):
    """`…` stands for what was left out; `test_` may be."""
    if '…' not in name:
        return name in names or 'test_' + name in names
    pattern = re.compile('(test_)?' + '.*'.join(map(re.escape, name.split('…'))) + '$')
    return any(pattern.match(known) for known in names)


def test_every_test_that_a_table_names_exists(build):
    names = names_there_are()
    for table in TABLES:
        proofs = [line.rsplit('|', 2)[1] for line in (ROOT / 'tests' / table).read_text(encoding='utf-8').splitlines() if line.startswith('| ')]
        cited = [name for proof in proofs for name in re.findall(r'`([\w.…]+)`', proof)]
        expect([name for name in cited if not is_there(name, names)], [], table + ' names what is not there')
        expect(len(cited) > 40, True, table + ': names')
