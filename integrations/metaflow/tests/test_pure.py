"""What needs neither a run nor envbox: `python -m unittest discover integrations/metaflow/tests`."""

import tempfile
import unittest
from types import SimpleNamespace

import metaflow  # noqa: F401 pylint: disable=unused-import
from metaflow_extensions.envbox.plugins.envbox.command import outermost
from metaflow_extensions.envbox.plugins.envbox.errors import EnvboxArgument
from metaflow_extensions.envbox.plugins.envbox.lockfile import lockfile_of
from metaflow_extensions.envbox.plugins.envbox.manifest import manifest_text
from metaflow_extensions.envbox.plugins.envbox.records import record_tag
from metaflow_extensions.envbox.plugins.envbox.remote import input_paths, value_of
from metaflow_extensions.envbox.plugins.envbox.seeds import closes_foreach, place_in_flow, task_seed
from metaflow_extensions.envbox.plugins.envbox.wanted import DEFAULTS, wanted


def text(channels=(), datastore="local", **attributes):
    """The manifest of a step with these attributes."""
    wishes = wanted("train", {**DEFAULTS, **attributes}, {})
    return manifest_text(wishes, datastore, list(channels))


class Manifest(unittest.TestCase):
    """`manifest_text`."""

    def test_versions_are_read_as_pypi_reads_them(self):
        versions = {"a": "1.2", "b": ">=1,<2", "c": "", "d": "@ https://x.example/d.whl", "e": "~=3"}
        asked = '["a==1.2", "b>=1,<2", "c", "d @ https://x.example/d.whl", "e~=3", "requests"]'
        self.assertIn("requirements = %s\n" % asked, text(packages=versions))

    def test_libraries_are_packages_and_packages_win(self):
        self.assertIn('"a==2", "b==1"', text(libraries={"a": "1", "b": "1"}, packages={"a": "2"}))

    def test_what_metaflow_needs_is_asked_for_once(self):
        made = text(packages={"requests": "2.34.2"}, datastore="s3")
        self.assertIn('["requests==2.34.2", "boto3"]', made)
        self.assertIn('packages = ["gzip", "libgomp1", "tar"]',
                      text(debian_packages=["libgomp1"], datastore="s3"))

    def test_conda_packages_are_match_specs_from_named_channels(self):
        made = text(conda_packages={"numpy": "1.26.4", "x::gdal": ">=3.9", "six": ""},
                    channels=["conda-forge", "https://mirror.example/team/lab/"])
        self.assertIn('dependencies = ["numpy ==1.26.4", "six", "x::gdal >=3.9"]', made)
        lab = '{ name = "lab", url = "https://mirror.example/team/lab/" }'
        self.assertIn('channels = ["conda-forge", %s]' % lab, made)
        root = text(conda_packages={"six": ""}, channels=["http://127.0.0.1:8080/"])
        self.assertIn('{ name = "channel", url = "http://127.0.0.1:8080/" }', root)

    def test_policy_is_not_in_it(self):
        self.assertEqual(text(seed=3, cpus=2, clock="real", network=True), text())


class Wanted(unittest.TestCase):
    """`wanted`."""

    def test_the_step_goes_before_the_flow(self):
        base = {**DEFAULTS, "packages": {"a": "1", "b": "1"}, "python": "3.11", "network": True}
        wishes = wanted("s", {**DEFAULTS, "packages": {"b": "2"}, "network": False}, base)
        self.assertEqual(wishes.packages, (("a", "1"), ("b", "2")))
        self.assertEqual((wishes.python, wishes.network), ("3.11", False))

    def test_what_cannot_be_is_refused_by_name(self):
        for attributes, said in [
            ({"clock": "frosen"}, "Did you mean `frozen`?"),
            ({"cpus": 0}, "`cpus` is `0`"),
            ({"seed": "x"}, "`seed` is `x`"),
            ({"packages": {"a": None}}, "the version of `a`"),
            ({"manifest": "/nowhere/envbox.toml"}, "`/nowhere/envbox.toml`"),
            ({"manifest": "m.toml", "packages": {"a": "1"}}, "belong in `m.toml`"),
        ]:
            with self.assertRaises(EnvboxArgument) as raised:
                wanted("s", {**DEFAULTS, **attributes}, {})
            self.assertIn(said, str(raised.exception))


class Seeds(unittest.TestCase):
    """`task_seed` and where a task is."""

    def test_each_place_has_a_seed_of_its_own(self):
        places = [(), (0,), (1,), (0, 1), (1, 0)]
        seeds = {task_seed(0, "train", place) for place in places}
        self.assertEqual(len(seeds | {task_seed(1, "train", ()), task_seed(0, "test", ())}), 7)
        # The tasks of runs on record had this one: another function is another world.
        self.assertEqual(task_seed(0, "start", ()), 2647592044)

    def test_a_place_follows_from_the_parents(self):
        frame = SimpleNamespace(index=4)
        parent = {"_foreach_stack": [SimpleNamespace(index=2), frame]}
        datastore = SimpleNamespace(get_task_datastore=lambda *_: parent)
        graph = {
            "join": SimpleNamespace(type="join", split_parents=["outer", "inner"]),
            "inner": SimpleNamespace(type="foreach"),
            "linear": SimpleNamespace(type="linear", split_parents=[]),
        }

        def place(step, index):
            task = SimpleNamespace(input_paths=["1/inner/3"], split_index=index, step=step)
            return place_in_flow(task, datastore, closes_foreach(graph, step))

        self.assertEqual(place("linear", None), (2, 4))
        self.assertEqual(place("linear", 7), (2, 4, 7))
        self.assertEqual(place("join", None), (2,))
        self.assertFalse(closes_foreach(graph, "linear"))


class Elsewhere(unittest.TestCase):
    """What a container is told."""

    def test_an_option_is_read_in_both_ways_to_write_it(self):
        words = ["flow.py", "--datastore=s3", "--tag", "a=b", "step", "fan", "--last"]
        self.assertEqual(value_of(words, "--datastore"), "s3")
        self.assertEqual(value_of(words, "--tag"), "a=b")
        self.assertEqual(value_of(words, "step"), "fan")
        self.assertIsNone(value_of(words, "--last"))
        self.assertIsNone(value_of(words, "--data"))

    def test_input_paths_may_be_in_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("1/start/2\n")
            file.flush()
            self.assertEqual(input_paths(["step", "--input-paths-filename", file.name]), "1/start/2")
        self.assertEqual(input_paths(["step", "--input-paths", "1/start/3"]), "1/start/3")
        self.assertIsNone(input_paths(["step"]))


class Names(unittest.TestCase):
    """Paths and tags."""

    def test_a_directory_in_another_is_bound_with_it(self):
        self.assertEqual(outermost(["/a/b", "/a", "/ab", "/"]), ["/a", "/ab"])

    def test_a_lockfile_is_beside_its_manifest(self):
        self.assertEqual(lockfile_of("/x/envbox.toml"), "/x/envbox.lock")
        self.assertEqual(lockfile_of("/x/pyproject.toml"), "/x/envbox.lock")
        self.assertEqual(lockfile_of("/x/gpu.toml"), "/x/gpu.lock")

    def test_a_tag_has_what_tags_may_have(self):
        self.assertEqual(record_tag("F", "argo-1", "s", "t:1", 0), "F.argo-1.s.t-1.0")
        self.assertEqual(record_tag("_F", "1", "s", "2", 0), "flow_F.1.s.2.0")


if __name__ == "__main__":
    unittest.main()
