"""What compiled kernels take: by hand, and of linear/cuda, which compiles without a GPU."""

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
        (256, 33, 0, "sm_80", 6 * 8 / 64, "registers"),  # 40 a thread, since a warp is given 256 at a time
        (32, 16, 0, "sm_90", 32 / 64, "blocks"),
        (1024, 16, 0, "sm_90", 1.0, "threads"),
        (128, 32, 100 * 1024, "sm_90", 2 * 4 / 64, "shared memory"),
        (128, 32, 100 * 1024, "sm_80", 4 / 64, "shared memory"),
        (33, 255, 0, "sm_100", 4 * 2 / 64, "registers"),  # two warps of 8,192 a block
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
    (found,) = inspect([compiled(128, 32, 0)], "sm_90")
    assert found.instructions is None
    assert found.occupancy == 1.0


@pytest.fixture(scope="module")
def disassembler():
    found = nvdisasm()
    if found is None:
        pytest.skip("nvdisasm is neither on PATH nor with Triton")
    return found


def test_what_is_no_cubin_is_one_line(disassembler):
    with pytest.raises(EnvironmentRefused, match="does not take this cubin"):
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
    assert [one.kernel.name for one in hook(case, "sm_80")] == ["linear_attention_decode"]


@pytest.mark.usefixtures("disassembler")
def test_kernels_in_triton_are_inspected_as_they_would_be_launched(capsys):
    if pytest.importorskip("triton").knobs.runtime.interpret:
        pytest.skip("kernels are interpreted, not compiled")
    rows = []
    for name in ("linear/triton", "retention/triton"):
        words = ["--D", "16", "--arch", "sm_90", "--mode", "decode", "--format", "json"]
        with pytest.raises(SystemExit):
            main(["kernels", "inspect", name, *words])
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
    ("words", "said"),
    [
        (
            ["linear/chunk"],
            "has no kernels to compile; these have: lightning/triton, linear/cuda,",
        ),
        (["linear/cuda", "--arch", "sm_9"], "--arch: 'sm_9' is not one of sm_80, sm_90, sm_100"),
        (["linear/cuda", "--D", "24"], "takes multiples of 16 from 16 to 128"),
        (["linear/kuda"], "did you mean linear/cuda"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        main(["kernels", "inspect", *words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
