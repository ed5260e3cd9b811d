// Normalization of channels, which are columns, and the activation after it.
// counts: rows, columns.

// Mean and 1 / deviation of each channel, [2, channels], from its mean and variance.
// numbers: eps.
template <typename T>
FUNCTION void channel_spread(GLOBAL const T *mean, GLOBAL const T *variance, GLOBAL float *out, Settings settings,
                             Place at) {
    const uint cols = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < cols; turn += 1, i += at.lanes) {
        out[i] = wide(mean[i]);
        out[cols + i] = 1 / sqrt(wide(variance[i]) + settings.numbers[0]);
    }
}

// Sums of squares of the distances from a mean, of each strip of rows: [strips, columns].
// counts: rows, columns, rows of a strip.
template <typename T>
FUNCTION void column_squares(GLOBAL const T *x, GLOBAL const float *mean, GLOBAL float *out, Settings settings,
                             GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    const Strip strip = strip_of(settings.counts[0], cols, settings.counts[2], at);
    float sum = 0;
    if (strip.col < cols) {
        for (uint row = strip.first; row < strip.end; row += at.lanes / COLUMNS) {
            const float apart = wide(x[row * cols + strip.col]) - mean[strip.col];
            sum += apart * apart;
        }
    }
    sum = column_sum(sum, shared, at);
    if (at.lane < COLUMNS && strip.col < cols) out[strip.number * cols + strip.col] = sum;
}

// The normalized channels times a weight plus a bias and a residual, kept within bounds.
// counts: elements, columns. numbers: whether there is a residual, the bounds.
template <typename T>
FUNCTION void channel_norm(GLOBAL const T *x, GLOBAL const T *residual, GLOBAL const T *weight, GLOBAL const T *bias,
                           GLOBAL const float *spread, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], cols = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const uint col = i % cols;
        float value = (wide(x[i]) - spread[col]) * spread[cols + col] * wide(weight[col]) + wide(bias[col]);
        if (settings.numbers[0] != 0) value += wide(residual[i]);
        // In this order what is no number stays so.
        if (value < settings.numbers[1]) value = settings.numbers[1];
        if (value > settings.numbers[2]) value = settings.numbers[2];
        out[i] = narrow<T>(value);
    }
}

// The part of a gradient that bounds let through.
// counts: elements. numbers: unused, the bounds.
template <typename T>
FUNCTION void bounds_grad(GLOBAL const T *y, GLOBAL const T *dy, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const float value = wide(y[i]);
        out[i] = value > settings.numbers[1] && value < settings.numbers[2] ? dy[i] : narrow<T>(0);
    }
}

// The gradients of weight and bias of each strip of rows, [strips, 2, columns].
// counts: rows, columns, rows of a strip.
template <typename T>
FUNCTION void channel_norm_sums(GLOBAL const T *x, GLOBAL const T *dy, GLOBAL const float *spread, GLOBAL float *out,
                                Settings settings, GROUP float *weights, GROUP float *biases, Place at) {
    const uint cols = settings.counts[1];
    const Strip strip = strip_of(settings.counts[0], cols, settings.counts[2], at);
    float weight = 0, bias = 0;
    if (strip.col < cols) {
        for (uint row = strip.first; row < strip.end; row += at.lanes / COLUMNS) {
            const float gradient = wide(dy[row * cols + strip.col]);
            weight += gradient * (wide(x[row * cols + strip.col]) - spread[strip.col]) * spread[cols + strip.col];
            bias += gradient;
        }
    }
    weight = column_sum(weight, weights, at);
    bias = column_sum(bias, biases, at);
    if (at.lane < COLUMNS && strip.col < cols) {
        out[2 * strip.number * cols + strip.col] = weight;
        out[(2 * strip.number + 1) * cols + strip.col] = bias;
    }
}

// The gradient of the input. Where the statistics are the batch's, they take from it what goes along with them: `sums` are
// the gradients of weight and bias.
// counts: elements, columns. numbers: 1 / rows, or 0 where the statistics are not the batch's.
template <typename T>
FUNCTION void channel_norm_grad(GLOBAL const T *x, GLOBAL const T *dy, GLOBAL const T *weight,
                                GLOBAL const float *spread, GLOBAL const float *sums, GLOBAL T *out, Settings settings,
                                Place at) {
    const uint count = settings.counts[0], cols = settings.counts[1];
    const float share = settings.numbers[0];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const uint col = i % cols;
        float value = wide(dy[i]);
        if (share != 0) {
            const float normal = (wide(x[i]) - spread[col]) * spread[cols + col];
            value -= share * (sums[cols + col] + normal * sums[col]);
        }
        out[i] = narrow<T>(value * wide(weight[col]) * spread[cols + col]);
    }
}

#define CHANNELS(T)                                                                                                    \
    KERNEL(channel_spread_##T, IN(T, mean, 0), IN(T, variance, 1), OUT(float, out, 2), SETTINGS(3)) {                  \
        channel_spread<T>(mean, variance, out, settings, HERE);                                                        \
    }                                                                                                                  \
    KERNEL(column_squares_##T, IN(T, x, 0), IN(float, mean, 1), OUT(float, out, 2), SETTINGS(3)) {                     \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        column_squares<T>(x, mean, out, settings, shared, HERE);                                                       \
    }                                                                                                                  \
    KERNEL(channel_norm_##T, IN(T, x, 0), IN(T, residual, 1), IN(T, weight, 2), IN(T, bias, 3), IN(float, spread, 4), \
           OUT(T, out, 5), SETTINGS(6)) {                                                                              \
        channel_norm<T>(x, residual, weight, bias, spread, out, settings, HERE);                                       \
    }                                                                                                                  \
    KERNEL(bounds_grad_##T, IN(T, y, 0), IN(T, dy, 1), OUT(T, out, 2), SETTINGS(3)) {                                  \
        bounds_grad<T>(y, dy, out, settings, HERE);                                                                    \
    }                                                                                                                  \
    KERNEL(channel_norm_sums_##T, IN(T, x, 0), IN(T, dy, 1), IN(float, spread, 2), OUT(float, out, 3), SETTINGS(4)) { \
        GROUP_ARRAY(float, weights, MOST_LANES);                                                                       \
        GROUP_ARRAY(float, biases, MOST_LANES);                                                                        \
        channel_norm_sums<T>(x, dy, spread, out, settings, weights, biases, HERE);                                     \
    }                                                                                                                  \
    KERNEL(channel_norm_grad_##T, IN(T, x, 0), IN(T, dy, 1), IN(T, weight, 2), IN(float, spread, 3),                   \
           IN(float, sums, 4), OUT(T, out, 5), SETTINGS(6)) {                                                          \
        channel_norm_grad<T>(x, dy, weight, spread, sums, out, settings, HERE);                                        \
    }
FOR_NUMBERS(CHANNELS)
