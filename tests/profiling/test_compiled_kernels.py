"""The resources of compiled kernels: computed by hand, and of linear/cuda, which compiles without a GPU."""

import json

import pytest

from linbench.cli import main
from linbench.core.case import Case
from linbench.core.compiled import Compiled
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Kernel
from linbench.profiling import kernels
from linbench.profiling.kernels import assembly, inspect, mix, nvdisasm, occupancy


def compiled(threads, registers, shared):
    return Compiled(Kernel("k", "", "", registers, 0, shared), threads, b"")


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "arch", "share", "bound"),
    [
        (256, 32, 0, "sm_80", 1.0, "registers"),  # 8 blocks by registers and by threads
        (256, 33, 0, "sm_80", 6 * 8 / 64, "registers"),  # 40 per thread: a warp allocates in units of 256
        (32, 16, 0, "sm_90", 32 / 64, "blocks"),
        (1024, 16, 0, "sm_90", 1.0, "threads"),
        (128, 32, 100 * 1024, "sm_90", 2 * 4 / 64, "shared memory"),
        (128, 32, 100 * 1024, "sm_80", 4 / 64, "shared memory"),
        (33, 255, 0, "sm_100", 4 * 2 / 64, "registers"),  # two warps of 8,192 per block
    ],
)
def test_occupancy(threads, registers, shared, arch, share, bound):
    assert occupancy(compiled(threads, registers, shared), arch) == (share, bound)


TEXT = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDGSTS.E.BYPASS.128 [R5], desc[UR4][R2.64] ;
        /*0020*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*0030*/                   HMMA.16816.F32.BF16 R4, R8, R12, R4 ;
        /*0040*/               @P1 UTMALDG.2D [UR8], [UR6] ;
        /*0050*/                   UTCHMMA gdesc[UR8], gdesc[UR10], tmem[UR12] ;
        /*0060*/                   FFMA R0, R1, R2, R3 ;
        /*0070*/              @UP0 STL.64 [R1+0x8], R4 ;
        /*0080*/                   LDSM.16.M88.4 R8, [R3] ;
        /*10a0*/                   EXIT ;
"""


def test_the_mix_of_instructions():
    assert mix(TEXT) == {
        "wgmma": 1, "tcgen05": 1, "mma": 1, "cp.async": 1, "tma": 1,
        "fma": 1, "global": 0, "shared": 1, "local": 1, "all": 10,
    }  # fmt: skip


def test_without_a_disassembler_there_are_no_instructions(monkeypatch):
    monkeypatch.setattr(kernels, "nvdisasm", lambda: None)
    (report,) = inspect([compiled(128, 32, 0)], "sm_90")
    assert report.instructions is None
    assert report.occupancy == 1.0


@pytest.fixture(scope="module")
def disassembler():
    program = nvdisasm()
    if program is None:
        pytest.skip("nvdisasm is neither on PATH nor with Triton")
    return program


def test_an_invalid_cubin_is_rejected(disassembler):
    with pytest.raises(EnvironmentRefused, match="rejects this cubin"):
        assembly(b"no cubin", disassembler)


@pytest.mark.usefixtures("disassembler")
def test_the_kernels_of_a_mode_are_inspected_without_a_gpu(loaded, capsys):
    pytest.importorskip("cuda.core")
    with pytest.raises(SystemExit):
        main(["kernels", "inspect", "linear/cuda", "--D", "32", "--arch", "sm_80,sm_90", "--format", "json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["arch"] for row in rows} == {"sm_80", "sm_90"}
    assert {row["name"] for row in rows} == {
        "linear_attention_forward", "linear_attention_scan", "linear_attention_segment_states"
    }  # fmt: skip
    for row in rows:
        assert 0 < row["registers"] <= 255
        assert row["spills"] == 0
        assert 0 < row["occupancy"] <= 1
        assert row["instructions"]["all"] > 50
        if row["name"] == "linear_attention_forward":
            assert row["instructions"]["mma"] > 0
            assert row["instructions"]["cp.async"] > 0
            assert row["instructions"]["local"] == 0
    hook = loaded.implementation("linear/cuda").compiled
    case = Case(1, 64, 2, 32, 32, dtype="bfloat16", mode="decode", device="cuda")
    assert [compiled.kernel.name for compiled in hook(case, "sm_80")] == ["linear_attention_decode"]


@pytest.mark.usefixtures("disassembler")
def test_triton_kernels_are_inspected_as_launched(capsys):
    if pytest.importorskip("triton").knobs.runtime.interpret:
        pytest.skip("kernels are interpreted, not compiled")
    rows = []
    for name in ("linear/triton", "retention/triton"):
        options = ["--D", "16", "--arch", "sm_90", "--mode", "decode", "--format", "json"]
        with pytest.raises(SystemExit):
            main(["kernels", "inspect", name, *options])
        rows += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["implementation"], row["name"]) for row in rows] == [
        ("linear/triton", "decode"),
        ("retention/triton", "decode"),
    ]
    for row in rows:
        assert "num_warps=" in row["configuration"]
        assert 0 < row["registers"] <= 255
        assert row["spills"] == 0
        assert row["instructions"]["fma"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["linear/chunk"],
            "has no kernels to compile; these have: lightning/triton, linear/cuda,",
        ),
        (["linear/cuda", "--arch", "sm_9"], "--arch: 'sm_9' is not one of sm_80, sm_90, sm_100"),
        (["linear/cuda", "--D", "24"], "supported: multiples of 16 from 16 to 128"),
        (["linear/kuda"], "did you mean linear/cuda"),
    ],
)
def test_a_usage_error_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_:
        main(["kernels", "inspect", *arguments])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
