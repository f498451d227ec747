"""One code path: the same bytes on every x86-64 processor with AVX2.

Libraries choose their code by the processor, and other code rounds in another order. Training amplifies a different last digit
into different results. These variables name one code for each library. They are read when a library loads, so they are set
before: `pipeline/__init__.py` sets them for every stage, and the kernels of notebooks inherit them. `compute.one_code_path: false` in
params.yaml leaves each library its fastest code.
"""

ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own vectorised kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions, and products (lib/models/matrix_products.py)
    "MKL_CBWR": "COMPATIBLE",  # what is left of MKL: Fourier transforms, products of batches. Its AVX2 code differs by vendor
    "CLIP360_ONE_CODE_PATH": "1",  # products of matrices by oneDNN
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # numpy's exp, log, power
    "OPENBLAS_CORETYPE": "Haswell",  # products and solvers of numpy and scipy
}


def environment(threads: int | None, *, one_code_path: bool) -> dict[str, str]:
    """The variables that decide how libraries compute: on ``threads`` threads (None: as many as there are cores)."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return (dict.fromkeys(names, str(threads)) if threads else {}) | (ENVIRONMENT if one_code_path else {})
