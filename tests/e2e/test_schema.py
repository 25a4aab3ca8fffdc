"""`hourglass schema` for editors: it takes what the reader takes and refuses what the reader's table of keys refuses."""
import json
import re

import jsonschema
import yaml

import harness
from harness import expect
from test_cli import run

MISTAKES = harness.ROOT / 'tests' / 'data' / 'definitions' / 'mistakes' / 'mistakes.yaml'


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as the reader has it and editors do: no dates, no numbers of base 60, `no` is text."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in (('null', r'^(?:~|null|Null|NULL|)$', ['~', 'n', 'N', '']),
                            ('bool', r'^(?:true|True|TRUE|false|False|FALSE)$', list('tTfF')),
                            ('int', r'^[-+]?[0-9]+$', list('-+0123456789')),
                            ('float', r'^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$', list('-+.0123456789'))):
    Core.add_implicit_resolver('tag:yaml.org,2002:' + tag, re.compile(pattern), first)


def validator(build):
    schema = json.loads(run(build, 'schema').stdout)
    expect(schema['$schema'], 'http://json-schema.org/draft-07/schema#', 'draft')
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def first_error(v, tree):
    return next((e.message for e in v.iter_errors(tree)), None)


def test_schema_takes_every_definition_that_the_reader_takes(build):
    v, files = validator(build), 0
    for folder in ('tools/playbooks', 'tools/demo-data/definitions', 'bench/definitions', 'tests/data/definitions/language'):
        for path in sorted((harness.ROOT / folder).rglob('*.yaml')):
            if not path.name.endswith('.test.yaml'):
                expect(first_error(v, yaml.load(path.read_text(), Core)), None, str(path))
                files += 1
    expect(files > 50, True, 'files')


def test_schema_refuses_mistakes_of_form_and_only_those(build):
    v, refused, taken = validator(build), 0, 0
    for mistake in yaml.load(MISTAKES.read_text(), Core)['mistakes']:
        try:
            tree = yaml.load(mistake['text'], Core)
        except yaml.YAMLError:
            continue
        if mistake.get('shape') == 'figure':
            continue
        wrong = first_error(v, tree)
        expect(wrong is not None, mistake.get('shape', False), '%s\n%s' % (mistake['text'], wrong))
        refused, taken = refused + (wrong is not None), taken + (wrong is None)
    expect((refused >= 20, taken >= 50), (True, True), 'mistakes: %d refused, %d taken' % (refused, taken))
