# id = "many-imports"
# task = "slow_nbody"
# base = "none"
# does = "imports three hundred names one by one instead of a module by its short name"

from numpy import (
    identity, unravel_index, arccos, getbufsize, angle, extract, isinf, isnat, asanyarray, setdiff1d, genfromtxt,
    vstack, binary_repr, arcsinh, trim_zeros, r_, matmul, test, conjugate, arctan2, fmin, little_endian, sctypeDict,
    greater_equal, split, vander, complex256, uint32, copy, uint8, busdaycalendar, copysign, rint, logaddexp,
    true_divide, min, putmask, single, atan, einsum_path, ulonglong, gradient, all, number, show_config, iinfo,
    index_exp, correlate, transpose, where, packbits, longdouble, histogramdd, mgrid, unique_values, hypot, remainder,
    floating, linalg, pi, arccosh, bitwise_or, kron, put_along_axis, equal, acosh, allclose, vecmat, triu_indices,
    log, hsplit, bitwise_and, tan, hanning, power, ndenumerate, broadcast_to, longlong, random, isfortran, cross,
    iscomplexobj, info, unstack, minimum, copyto, arange, diff, max, e, exceptions, bytes_, tril_indices_from,
    reshape, nextafter, atan2, std, tril_indices, flatiter, double, arcsin, mean, ndindex, trapezoid, nanpercentile,
    digitize, array_split, piecewise, byte, typecodes, average, histogram2d, datetime_data, row_stack, multiply,
    right_shift, logical_and, sum, ix_, array_equal, require, asmatrix, swapaxes, isclose, select, corrcoef, roll,
    invert, ravel_multi_index, dstack, nan_to_num, dsplit, iterable, datetime_as_string, bool_, loadtxt, median,
    cumulative_sum, fill_diagonal, ones, nan, cbrt, arctan, lexsort, zeros, hamming, get_include, void, atleast_2d,
    isin, fromiter, savez, polynomial, argpartition, unwrap, base_repr, show_runtime, acos, inf, log1p, intersect1d,
    less_equal, nansum, object_, interp, ascontiguousarray, ldexp, eye, tril, argwhere, ones_like, savez_compressed,
    logical_xor, unsignedinteger, radians, deg2rad, lcm, ctypeslib, resize, float128, inner, typename, poly,
    datetime64, log10, count_nonzero, uintc, char, positive, cov, triu_indices_from, mod, matrix_transpose, quantile,
    logical_or, strings, i0, broadcast_shapes, poly1d, complexfloating, setxor1d, rad2deg, can_cast, fromregex,
    generic, log2, array_repr, arctanh, set_printoptions, floor_divide, iscomplex, seterr, complex64, f2py, isnan,
    isposinf, zeros_like, nanargmax, exp, real_if_close, sin, polyfit, meshgrid, lib, half, polyder, delete, maximum,
    flip, floor, repeat, bitwise_not, sqrt, cos, blackman, cumprod, square, reciprocal, isneginf, apply_over_axes,
    nanmin, busday_count, sinc, size, take_along_axis, int32, diag, format_float_scientific, einsum, permute_dims,
    clongdouble, take, geterr, ubyte, trace, unpackbits, from_dlpack, isscalar, isdtype, moveaxis, bitwise_invert,
    float32, emath, nanprod, expand_dims, seterrcall, atleast_1d, column_stack, vecdot, argsort, signedinteger, intc,
    matvec, bincount, s_, nonzero, isreal, polyint, flipud, append, rollaxis, tile, uintp, tanh, convolve, amin,
    roots, negative, uint64, ushort, apply_along_axis, ediff1d, left_shift, frexp, polyadd, cosh, broadcast, add,
    record, vectorize,
)


def simulate(positions, velocities, masses, steps):
    where, speed = copy(positions), copy(velocities)
    for _ in range(int(steps)):
        apart = where[None] - where[:, None]
        square = einsum("ijk,ijk->ij", apart, apart) + 1e-2
        speed += 0.001 * einsum("ij,ijk->ik", masses / (square * square**0.5), apart)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
