#!/usr/bin/env python3
"""The API scripts' runner must fail where an answer differs: patterns, the reader, the player."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pattern  # noqa: E402
import play  # noqa: E402
import script  # noqa: E402


def problems(text, value, kind="rekey"):
    matcher = pattern.Matcher(kind)
    matcher.match(pattern.parse(text), value)
    return matcher.problems


class Patterns(unittest.TestCase):
    def test_scalars(self):
        for text, good, bad in [
            ("1", 1, True),
            ("true", True, 1),
            ("null", None, ""),
            ('"a"', "a", "b"),
            ("$int", 3, "3"),
            ("$int", 3, True),
            ("$uuid", "0b6a5b7e-4d9d-0f1e-7d3b-1f3d1c1b2a3c", "0b6a5b7e"),
            ("$time", "2026-11-23T15:00:00.000000001Z", "2026-11-23 15:00:00"),
            ("$token_service", "hvs." + "a" * 24, "s." + "a" * 24),
            ("$token_root", "hvs." + "a" * 24, "hvs." + "a" * 25),
            ("$near(100)", 99, 101),
            ("$range(1, 2)", 2, 3),
            ("$either(null, 1)", None, 2),
            ('$re("a+")', "aa", "aab"),
            ('$has("b")', "abc", "ac"),
            ('$each($hex)', ["00", "ff"], ["00", "fg"]),
            ('$set("a", "b")', ["b", "a"], ["b"]),
            ('$includes("a")', ["b", "a"], ["b"]),
            ('$excludes("a")', ["b"], ["a"]),
            ('$values($int)', {"a": 1}, {"a": "1"}),
        ]:
            self.assertEqual(problems(text, good), [], text)
            self.assertNotEqual(problems(text, bad), [], text)

    def test_key_sets_are_exact(self):
        self.assertEqual(problems('{"a": 1}', {"a": 1}), [])
        self.assertTrue(problems('{"a": 1}', {"a": 1, "b": 2}))
        self.assertTrue(problems('{"a": 1, "b": 2}', {"a": 1}))
        self.assertEqual(problems('{"a": 1, ...}', {"a": 1, "b": 2}), [])
        self.assertTrue(problems('{"a": 1, ...}', {"b": 2}))
        self.assertEqual(problems('{"a"?: 1}', {}), [])
        self.assertTrue(problems('{"a"?: 1}', {"a": 2}))

    def test_arrays(self):
        self.assertTrue(problems("[1]", [1, 2]))
        self.assertEqual(problems("[1, ...]", [1, 2]), [])
        self.assertTrue(problems("[1, ...]", [2, 1]))

    def test_keys_of_one_kind_of_server(self):
        self.assertEqual(problems('{"a"^: 1, "b"~: 2}', {"a": 1}), [])
        self.assertTrue(problems('{"a"^: 1, "b"~: 2}', {"b": 2}))
        self.assertEqual(problems('{"a"^: 1, "b"~: 2}', {"b": 2}, "bao"), [])

    def test_captures(self):
        matcher = pattern.Matcher("rekey")
        matcher.match(pattern.parse('{"a": x=$int, "b": [y=$any]}'), {"a": 7, "b": ["z"]})
        self.assertEqual(matcher.captured, {"x": 7, "y": "z"})

    def test_what_is_no_pattern(self):
        for text in ["{", '{"a" 1}', "$nothing", "[1] 2", "'a'"]:
            with self.assertRaises(pattern.PatternError):
                problems(text, 1)


class Reader(unittest.TestCase):
    def test_mistakes_in_scripts(self):
        for text in [
            "GET a",
            "GET a\n=> 200\n\nnonsense",
            "loop 2\n\nGET a\n=> 200",
            "GET a\n=> 200\nbao => 404",
        ]:
            with self.assertRaises(script.ScriptError):
                script.read("x", text)


class FakeServer:
    """Answers every request alike; the player's other collaborators are real."""

    kind, root, keys, keys_base64, folder, address, port = "rekey", "t", [], [], "", "", 1

    def __init__(self, status, body, headers=None):
        self.answer = (
            status,
            headers
            or [
                ("Content-Type", "application/json"),
                ("Cache-Control", "no-store"),
            ],
            json.dumps(body).encode() if body is not None else b"",
        )

    def request(self, *_):
        return self.answer


def failures(text, server):
    player = play.Player(script.read("x", text), server)
    player.play()
    return len(player.failures)


class Player(unittest.TestCase):
    def test_status_body_and_headers(self):
        good = FakeServer(200, {"a": 1})
        self.assertEqual(failures('GET a\n=> 200\n{"a": 1}', good), 0)
        self.assertEqual(failures('GET a\n=> 204\n{"a": 1}', good), 1)
        self.assertEqual(failures('GET a\n=> 200\n{"a": 2}', good), 1)
        self.assertEqual(failures("GET a\n=> 200", good), 1)
        self.assertEqual(failures('GET a\n=> 200\nX-A: b\n{"a": 1}', good), 1)
        charset = [("Content-Type", "application/json; charset=utf-8")]
        self.assertEqual(failures('GET a\n=> 200\n{"a": 1}', FakeServer(200, {"a": 1}, charset)), 1)

    def test_errors(self):
        server = FakeServer(400, {"errors": ["one\n"]})
        self.assertEqual(failures("GET a\n=> 400\n! one\\n", server), 0)
        self.assertEqual(failures("GET a\n=> 400\n! one", server), 1)
        self.assertEqual(failures("GET a\n=> 400\n!~ o.*", server), 0)
        self.assertEqual(failures("GET a\n=> 400\n!", server), 1)

    def test_envelope(self):
        whole = {
            "request_id": "0b6a5b7e-4d9d-0f1e-7d3b-1f3d1c1b2a3c",
            "lease_id": "",
            "renewable": False,
            "lease_duration": 0,
            "data": {"a": 1},
            "wrap_info": None,
            "warnings": None,
            "auth": None,
            "mount_type": "kv",
        }
        self.assertEqual(failures('GET a\n=> 200 data\n{"a": 1}', FakeServer(200, whole)), 0)
        for key in whole:
            less = {k: v for k, v in whole.items() if k != key}
            self.assertEqual(failures('GET a\n=> 200 data\n{"a": 1}', FakeServer(200, less)), 1)
        self.assertEqual(failures('GET a\n=> 200 dup\n{"a": 1}', FakeServer(200, whole)), 1)
        self.assertEqual(
            failures('GET a\n=> 200 dup\n{"a": 1}', FakeServer(200, whole | {"a": 1})), 0
        )

    def test_unknown_variables_fail(self):
        self.assertEqual(failures('GET ${x}\n=> 200 any', FakeServer(200, {})), 1)


if __name__ == "__main__":
    unittest.main()
