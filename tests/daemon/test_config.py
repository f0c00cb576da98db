from pathlib import Path

import pytest

from livestrain_daemon.config import CalibrationConfig, Config, config_toml, load_config
from livestrain_daemon.errors import ConfigError
from livestrain_wire.messages import GivenValues


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("LIVESTRAIN_")]:
        monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "livestrain.toml"
    path.write_text(text)
    return path


def refusal(path: Path | None) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_defaults_listen_on_loopback_alone() -> None:
    config = load_config(None)
    assert config == Config()
    for endpoint in (config.intake.endpoint, config.publish.maps_endpoint, config.publish.control_endpoint):
        assert endpoint.startswith("tcp://127.0.0.1:")
    assert config.publish.http_host == "127.0.0.1"


def test_a_file_replaces_only_what_it_names(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[workers]\ncount = 3\n[spool]\nfolder = "/data"\n'))
    assert (config.workers.count, config.workers.spares, config.spool.folder) == (3, 1, Path("/data"))


def test_the_environment_wins_over_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTRAIN_WORKERS__COUNT", "5")
    config = load_config(written(tmp_path, "[workers]\ncount = 3\nspares = 2\n"))
    assert (config.workers.count, config.workers.spares) == (5, 2)


def test_arming_needs_the_rest_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '[intake.dectris]\nhost = "localhost"\n[intake.dectris.arm]\nrepeat = true\n')
    assert load_config(path).intake.dectris
    monkeypatch.setenv("LIVESTRAIN_INTAKE__DECTRIS", '{"host": "localhost", "rest_port": null}')
    assert "intake.dectris.arm: " in refusal(path)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[workers]\ncuont = 3\n", "workers.cuont"),
        ("[worker]\ncount = 3\n", "worker"),
        ("count = 3\n", "count"),
        ('_env_file = "/etc/passwd"\n', "_env_file"),
        ("_cli_parse_args = true\n", "_cli_parse_args"),
        ("[[analysis.detectors]]\nname = 'a'\nouter = 1.0\ncolour = 'red'\n", "analysis.detectors.0.colour"),
        ('[intake.merlin]\nhots = "a"\n', "intake.merlin.hots"),
    ],
)
def test_an_unknown_key_is_named_with_its_file(tmp_path: Path, text: str, key: str) -> None:
    path = written(tmp_path, text)
    assert f"{path}: {key}: " in refusal(path)


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("[workers]\ncount = 0\n", "workers.count", "found 0"),
        ('[workers]\ncount = "many"\n', "workers.count", "found 'many'"),
        ('[workers]\norder = "random"\n', "workers.order", "found 'random'"),
        ("[workers]\ntimeout_seconds = nan\n", "workers.timeout_seconds", "found nan"),
        ("[workers]\ntimeout_seconds = -inf\n", "workers.timeout_seconds", "found -inf"),
        ("[workers]\nlargest_range = 4097\n", "workers.largest_range", "found 4097"),
        ("[publish]\nhttp_port = 65536\n", "publish.http_port", "found 65536"),
        ("[publish]\npatch_seconds = 0.0\n", "publish.patch_seconds", "found 0.0"),
        ('[intake]\nendpoint = "127.0.0.1:5550"\n', "intake.endpoint", "found '127.0.0.1:5550'"),
        ('[intake]\nendpoint = "tcp://127.0.0.1:99999"\n', "intake.endpoint", "expected a port"),
        ('[intake]\nendpoint = "tcp://nonsense"\n', "intake.endpoint", "expected a port"),
        ('[intake]\nendpoint = "tcp://127.0.0.1:-1"\n', "intake.endpoint", "expected a port"),
        ("workers = 7\n", "workers", "found 7"),
        ('[intake.merlin]\nhost = ""\n', "intake.merlin.host", "expected the name or address of a host, found ''"),
        ('[intake.dectris]\nhost = " "\n', "intake.dectris.host", "expected the name or address of a host, found ' '"),
        ('[intake.asi]\nhost = "http://a"\n', "intake.asi.host", "address of a host, found 'http://a'"),
        ('[intake.asi]\nhost = "a"\nlisten = ""\n', "intake.asi.listen", "address of a host, found ''"),
        ("[intake.scan]\nshape = 16\n", "intake.scan.shape", "expected an array, found 16"),
        ("[intake]\nmerlin = 3\n", "intake.merlin", "expected a table, found 3"),
        ("[intake.merlin]\ndata_port = 3\n", "intake.merlin.host", "must be given"),
        ("[spool]\nkeep_scans = 0\n", "spool.keep_scans", "found 0"),
        ("[spool]\nkeep_scans = true\n", "spool.keep_scans", "found True"),
        ("[spool]\nkeep_scans = -3\n", "spool.keep_scans", "found -3"),
        ("[spool]\nkeep_mib = 0.5\n", "spool.keep_mib", "found 0.5"),
        ('[spool]\nkeep_mib = "all"\n', "spool.keep_mib", "found 'all'"),
        ("[spool]\nkeep_free_mib = nan\n", "spool.keep_free_mib", "found nan"),
        ("[[analysis.detectors]]\nname = 'a/b'\nouter = 1.0\n", "analysis.detectors.0.name", "found 'a/b'"),
        ("[[analysis.detectors]]\nname = 'a'\ninner = 2.0\nouter = 1.0\n", "analysis.detectors.0", "outer must be"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_found(tmp_path: Path, text: str, key: str, found: str) -> None:
    path = written(tmp_path, text)
    message = refusal(path)
    assert f"{path}: {key}: " in message
    assert found in message


def test_two_detectors_are_refused_in_a_short_line(tmp_path: Path) -> None:
    path = written(tmp_path, '[intake.merlin]\nhost = "a"\n[intake.asi]\nhost = "b"\n')
    assert refusal(path) == f"{path}: intake: merlin and asi both say where frames come from; give one of them"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", None),
        ('[intake.merlin]\nhost = "a"\n', ("intake.merlin.host", "a")),
        ('[intake.asi]\nhost = "a"\nlisten = "b"\n', None),
        ('[intake.asi]\nhost = "a"\nlisten = "b"\nrest_port = 8080\n', ("intake.asi.host", "a")),
    ],
)
def test_the_host_that_is_connected_to_is_known_with_its_key(
    tmp_path: Path, text: str, host: tuple[str, str] | None
) -> None:
    assert load_config(written(tmp_path, text)).intake.host == host


def test_a_spool_has_no_limits_unless_they_are_set(tmp_path: Path) -> None:
    assert not Config().spool.limits.any
    limits = load_config(written(tmp_path, "[spool]\nkeep_scans = 3\nkeep_mib = 2\n")).spool.limits
    assert (limits.scans, limits.size_bytes, limits.free_bytes, limits.any) == (3, 2 << 20, None, True)


def test_a_wrong_value_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTRAIN_WORKERS__COUNT", "many")
    assert "the environment: workers.count: " in refusal(None)
    monkeypatch.setenv("LIVESTRAIN_WORKERS__COUNT", "2")
    monkeypatch.setenv("LIVESTRAIN_WORKERS__CUONT", "2")
    assert "the environment: workers.cuont: " in refusal(None)


@pytest.mark.parametrize("data", [b"[workers", b"a = ", b"\xff\xfe\x00", b"[a]\n[a]\n", b"x = 1\nx = 2\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    assert refusal(path).startswith(f"{path}: ")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml").startswith(f"{tmp_path / 'none.toml'}: ")
    assert refusal(tmp_path).startswith(f"{tmp_path}: ")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('[intake]\nendpoint = "tcp://127.0.0.1:5551"\n', "intake.endpoint and publish.maps_endpoint"),
        ('[intake]\nendpoint = "tcp://*:5552"\n', "intake.endpoint and publish.control_endpoint"),
        ('[intake]\nendpoint = "tcp://localhost:9550"\n', "intake.endpoint and publish.http_port"),
        ('[publish]\nmaps_endpoint = "tcp://127.0.0.1:5552"\n', "publish.maps_endpoint and publish.control_endpoint"),
        ("[publish]\nhttp_port = 5552\n", "publish.control_endpoint and publish.http_port"),
        (
            '[publish]\nmaps_endpoint = "ipc:///run/a"\ncontrol_endpoint = "ipc:///run/a"\n',
            "publish.maps_endpoint and publish.control_endpoint",
        ),
    ],
)
def test_two_keys_with_one_endpoint_are_both_named(tmp_path: Path, text: str, keys: str) -> None:
    path = written(tmp_path, text)
    assert refusal(path).startswith(f"{path}: {keys} are the same: ")


@pytest.mark.parametrize(
    "text",
    [
        '[publish]\nmaps_endpoint = "tcp://127.0.0.1:*"\ncontrol_endpoint = "tcp://127.0.0.1:*"\nhttp_port = 0\n',
        '[intake]\nendpoint = "tcp://192.168.1.1:5551"\n',
        '[publish]\nmaps_endpoint = "ipc:///run/a"\ncontrol_endpoint = "ipc:///run/b"\n',
    ],
)
def test_endpoints_that_differ_or_are_chosen_later_are_taken(tmp_path: Path, text: str) -> None:
    load_config(written(tmp_path, text))


@pytest.mark.parametrize("key", ["maps_endpoint", "control_endpoint"])
@pytest.mark.parametrize(
    "endpoint", ["tcp://*:5560", "tcp://0.0.0.0:5560", "tcp://192.168.1.1:5560", "tcp://eth0:5560", "tcp://[::]:5560"]
)
def test_publishing_to_other_hosts_must_be_wanted_in_words(tmp_path: Path, key: str, endpoint: str) -> None:
    path = written(tmp_path, f'[publish]\n{key} = "{endpoint}"\n')
    assert f"publish.{key}: {endpoint} can be reached from other hosts" in refusal(path)
    wanted = written(tmp_path, f'[publish]\n{key} = "{endpoint}"\nunencrypted_beyond_loopback = true\n')
    assert getattr(load_config(wanted).publish, key) == endpoint


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:1", "tcp://127.1.2.3:*", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///run/maps"]
)
def test_loopback_needs_no_words(tmp_path: Path, endpoint: str) -> None:
    path = written(tmp_path, f'[publish]\nmaps_endpoint = "{endpoint}"\n')
    assert load_config(path).publish.maps_endpoint == endpoint


def test_a_host_that_only_looks_like_loopback_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[publish]\nmaps_endpoint = "tcp://127.0.0.1.example.org:5551"\n')
    assert "can be reached from other hosts" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[spool]\nfolder = "a \\"quoted\\" place/Größe"\nrecord = false\n',
        "[workers]\ntimeout_seconds = 1e-05\n[log]\nlevel = 'debug'\nformat = 'json'\n",
        "[analysis]\nvacuum_probe = '/p.npy'\n"
        "[[analysis.detectors]]\nname = 'a'\nouter = 5\nunit = 'px'\ncentre = [1.5, 2.0]\n",
        "[analysis]\ndetectors = []\n",
    ],
)
def test_the_configuration_shown_gives_itself_again(tmp_path: Path, text: str) -> None:
    config = load_config(written(tmp_path, text))
    assert load_config(written(tmp_path, config_toml(config))) == config


def test_what_is_known_of_the_detector_is_a_section_of_its_own(tmp_path: Path) -> None:
    text = '[analysis]\naxes = "scan"\n[calibration]\nrotation_deg = -12.5\nflip = "rows"\nspacing_nm = 0.192\n'
    config = load_config(written(tmp_path, text))
    given = config.calibration.values()
    assert (given.rotation_deg, given.flip, given.spacing_nm, given.ellipse) == (-12.5, "rows", 0.192, None)
    assert config.analysis.axes == "scan"


def test_the_section_knows_all_that_a_request_can_say_but_rings() -> None:
    assert CalibrationConfig.model_fields.keys() == GivenValues.model_fields.keys() - {"ring"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[analysis]\naxes = "scan"\n', "analysis.axes"),
        ('[analysis]\naxes = "sideways"\n', "analysis.axes"),
        ("[calibration]\npixel_size = 0.1\nspacing_nm = 0.2\n", "calibration"),
        ("[calibration]\nellipse = [1.1, 0.0]\nlattice_shape = [1.0, 90.0]\n", "calibration"),
        ("[calibration]\nellipse = [0.9, 0.0]\n", "calibration.ellipse.0"),
        ("[calibration]\nrotation_deg = nan\n", "calibration.rotation_deg"),
        ("[calibration]\npixel_size = 0.0\n", "calibration.pixel_size"),
        ("[calibration]\ndescan = [1.0, 2.0]\n", "calibration.descan"),
        ("[calibration]\ndescan = [1e6, 0.0, 0.0, 0.0, 0.0, 0.0]\n", "calibration.descan"),
    ],
)
def test_what_cannot_be_known_of_the_detector_is_named(tmp_path: Path, text: str, key: str) -> None:
    assert key in refusal(written(tmp_path, text))
