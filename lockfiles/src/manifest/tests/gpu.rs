use crate::manifest::tests::{Project, parse, rendered};
use crate::manifest::{DevicePin, DriverPin, Gpu, GpuVendor};

#[test]
fn what_is_not_said_has_a_default() {
    assert_eq!(parse("").unwrap().gpu, None);
    assert_eq!(parse("[gpu]\n").unwrap().gpu, Some(Gpu::default()));
    let text =
        "[gpu]\nvendor = \"nvidia\"\ncuda = \"12.4\"\ndriver = \"branch\"\ndevice = \"require\"\n";
    let expected = Gpu {
        vendor: GpuVendor::Nvidia,
        cuda: Some("12.4".parse().unwrap()),
        driver: DriverPin::Branch,
        device: DevicePin::Require,
    };
    assert_eq!(parse(text).unwrap().gpu, Some(expected.clone()));
    let own = text.replace("[gpu]", "[tool.envbox.gpu]");
    let text = format!("[tool.envbox.environment]\nname = \"iris\"\n{own}");
    let project = Project::new(&[("pyproject.toml", &text)]);
    assert_eq!(project.manifest().unwrap().gpu, Some(expected));
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    let conda = "[conda]\nchannels = [\"conda-forge\"]\n";
    let mut shown = String::new();
    for text in [
        "[gpu]\ndrivers = \"exact\"\n",
        "[gpu]\ncompat = \"none\"\n",
        "[gpu]\nvendor = \"nvidea\"\n",
        "[gpu]\ndriver = \"exakt\"\n",
        "[gpu]\ndriver = \"580.159.04\"\n",
        "[gpu]\ndevice = true\n",
        "[gpu]\ncuda = 12.4\n",
        "[gpu]\ncuda = \"12.4.1\"\n",
        "[gpu]\ncuda = \"12.x\"\n",
        "[gpu]\ncuda = \"7\"\n",
        "[gpu]\nvendor = \"amd\"\ncuda = \"13\"\n",
        &format!("[gpu]\ncuda = \"13\"\n{conda}virtual-packages = {{ __cuda = \"12.4\" }}\n"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.place.is_some(), "{text}");
        shown += &format!("{}\n\n", rendered(&error));
    }
    insta::assert_snapshot!(shown, @r#"
    envbox.toml:5:1: unknown key `drivers` in [gpu]
      |
    5 | drivers = "exact"
      | ^^^^^^^
    hint: write `driver`

    envbox.toml:5:1: unknown key `compat` in [gpu]
      |
    5 | compat = "none"
      | ^^^^^^
    hint: use one of `vendor`, `cuda`, `driver`, `device`

    envbox.toml:5:10: `nvidea` is not one of `nvidia`, `amd`, `intel`
      |
    5 | vendor = "nvidea"
      |          ^^^^^^^^
    hint: write `nvidia`

    envbox.toml:5:10: `exakt` is not one of `exact`, `branch`, `none`
      |
    5 | driver = "exakt"
      |          ^^^^^^^
    hint: write `exact`

    envbox.toml:5:10: `580.159.04` is not one of `exact`, `branch`, `none`
      |
    5 | driver = "580.159.04"
      |          ^^^^^^^^^^^^

    envbox.toml:5:10: expected a string, found a boolean
      |
    5 | device = true
      |          ^^^^
    hint: write `"true"`

    envbox.toml:5:8: expected a CUDA version like `13` or `12.4`, found a float
      |
    5 | cuda = 12.4
      |        ^^^^
    hint: write `"12.4"`

    envbox.toml:5:8: `12.4.1` is not a CUDA version like `13` or `12.4`
      |
    5 | cuda = "12.4.1"
      |        ^^^^^^^^

    envbox.toml:5:8: `12.x` is not a CUDA version like `13` or `12.4`
      |
    5 | cuda = "12.x"
      |        ^^^^^^

    envbox.toml:5:8: `7` is not a CUDA version like `13` or `12.4`
      |
    5 | cuda = "7"
      |        ^^^
    hint: CUDA 8.0 is the oldest whose drivers are known

    envbox.toml:6:8: CUDA is NVIDIA's, and `vendor` is `amd`
      |
    6 | cuda = "13"
      |        ^^^^
    hint: remove it, or write `vendor = "nvidia"`

    envbox.toml:8:31: the machines that conda packages are chosen for have CUDA `12.4`, but `cuda` of [gpu] (line 5) needs `13`
      |
    8 | virtual-packages = { __cuda = "12.4" }
      |                               ^^^^^^
    hint: write `__cuda = "13"`, or leave it out: it is then that of [gpu]
    "#);
}
