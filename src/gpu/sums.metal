// Sums of columns.

// The sums of each strip of rows, [strips, columns].
// counts: rows, columns, rows of a strip.
template <typename T>
FUNCTION void column_sums(GLOBAL const T *x, GLOBAL float *out, Settings settings, GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    const Strip strip = strip_of(settings.counts[0], cols, settings.counts[2], at);
    float sum = 0;
    if (strip.col < cols) {
        for (uint row = strip.first; row < strip.end; row += at.lanes / COLUMNS) sum += wide(x[row * cols + strip.col]);
    }
    sum = column_sum(sum, shared, at);
    if (at.lane < COLUMNS && strip.col < cols) out[strip.number * cols + strip.col] = sum;
}

#define SUMS(T)                                                                                                        \
    KERNEL(column_sums_##T, IN(T, x, 0), OUT(float, out, 1), SETTINGS(2)) {                                            \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        column_sums<T>(x, out, settings, shared, HERE);                                                                \
    }
FOR_NUMBERS(SUMS)
