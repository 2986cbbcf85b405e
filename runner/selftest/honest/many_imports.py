# id = "many-imports"
# task = "slow_nbody"
# base = "none"
# does = "imports nearly two hundred names one by one instead of a module by its short name"

from numpy import (
    abs, absolute, acos, acosh, add, arange, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, array,
    asanyarray, asarray, asarray_chkfinite, ascontiguousarray, asfortranarray, asin, asinh, asmatrix, atan, atan2,
    atanh, bartlett, base_repr, binary_repr, bitwise_and, bitwise_count, bitwise_invert, bitwise_left_shift,
    bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor, blackman, bmat, broadcast_shapes, cbrt, ceil, conj,
    conjugate, copy, copysign, cos, cosh, datetime_data, deg2rad, degrees, diag_indices, divide, divmod, einsum,
    empty, equal, exp, exp2, expm1, eye, fabs, float_power, floor, floor_divide, fmax, fmin, fmod,
    format_float_positional, format_float_scientific, frexp, from_dlpack, frombuffer, fromfile, fromfunction,
    fromiter, frompyfunc, fromregex, fromstring, full, gcd, genfromtxt, get_include, get_printoptions, getbufsize,
    geterr, geterrcall, greater, greater_equal, hamming, hanning, heaviside, hypot, identity, indices, info, invert,
    isdtype, isfinite, isfortran, isinf, isnan, isnat, isscalar, issubdtype, iterable, kaiser, lcm, ldexp, left_shift,
    less, less_equal, load, loadtxt, log, log10, log1p, log2, logaddexp, logaddexp2, logical_and, logical_not,
    logical_or, logical_xor, mask_indices, matmul, matvec, maximum, minimum, mintypecode, mod, modf, multiply,
    negative, nested_iters, newaxis, nextafter, not_equal, ones, positive, pow, power, printoptions, promote_types,
    rad2deg, radians, reciprocal, remainder, require, right_shift, rint, row_stack, set_printoptions, setbufsize,
    seterr, seterrcall, show_config, show_runtime, sign, signbit, sin, sinh, spacing, sqrt, square, subtract, tan,
    tanh, tri, tril_indices, triu_indices, true_divide, trunc, typename, vecdot, vecmat, zeros,
)


def simulate(positions, velocities, masses, steps):
    where, speed = copy(positions), copy(velocities)
    for _ in range(int(steps)):
        apart = where[newaxis] - where[:, newaxis]
        distance = square(apart).sum(axis=2) + 1e-2
        speed += 0.001 * (apart * (masses / (distance * sqrt(distance)))[:, :, newaxis]).sum(axis=1)
        where += 0.001 * speed
    return {"positions": where, "velocities": speed}
