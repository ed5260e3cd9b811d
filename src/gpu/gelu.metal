// A bias added to columns and GELU with the exact error function, in one pass, and the way back.
// counts: elements, columns.

// Φ(x) and φ(x), the normal distribution and its density. The error function is formula 7.1.26 of Abramowitz and Stegun,
// within 1.5e-7.
struct Normal {
    float below;
    float density;
};

FUNCTION Normal normal_of(float x) {
    const float bell = exp(-0.5f * x * x);
    const float t = 1 / (1 + 0.3275911f * 0.70710678f * fabs(x));
    const float rest =
        t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float above = 0.5f * rest * bell;
    return Normal{x < 0 ? above : 1 - above, 0.39894228f * bell};
}

template <typename T>
FUNCTION void bias_gelu(GLOBAL const T *x, GLOBAL const T *bias, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], cols = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const float value = wide(x[i]) + wide(bias[i % cols]);
        out[i] = narrow<T>(value * normal_of(value).below);
    }
}

template <typename T>
FUNCTION void bias_gelu_grad(GLOBAL const T *x, GLOBAL const T *bias, GLOBAL const T *dy, GLOBAL T *dx,
                             Settings settings, Place at) {
    const uint count = settings.counts[0], cols = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const float value = wide(x[i]) + wide(bias[i % cols]);
        const Normal normal = normal_of(value);
        dx[i] = narrow<T>(wide(dy[i]) * (normal.below + value * normal.density));
    }
}

#define GELU(T)                                                                                                        \
    KERNEL(bias_gelu_##T, IN(T, x, 0), IN(T, bias, 1), OUT(T, out, 2), SETTINGS(3)) {                                  \
        bias_gelu<T>(x, bias, out, settings, HERE);                                                                    \
    }                                                                                                                  \
    KERNEL(bias_gelu_grad_##T, IN(T, x, 0), IN(T, bias, 1), IN(T, dy, 2), OUT(T, out, 3), SETTINGS(4)) {              \
        bias_gelu_grad<T>(x, bias, dy, out, settings, HERE);                                                           \
    }
FOR_NUMBERS(GELU)
