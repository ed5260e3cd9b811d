// The mean of the rows of each example, and the way back. An example is a group's: it begins where `starts` says, and ends
// where the next one begins.
// counts: examples, columns, first rows of an example that do not count.

struct Rows {
    // The first that counts, and the end.
    uint first;
    uint end;
    // What each counts for.
    float share;
};

FUNCTION Rows rows_of(GLOBAL const uint *starts, Settings settings, Place at) {
    const uint end = starts[at.group + 1], first = min(starts[at.group] + settings.counts[2], end);
    return Rows{first, end, 1 / float(max(end - first, 1u))};
}

template <typename T>
FUNCTION void mean_rows(GLOBAL const T *x, GLOBAL const uint *starts, GLOBAL T *out, Settings settings, Place at) {
    const uint cols = settings.counts[1];
    const Rows rows = rows_of(starts, settings, at);
    for (uint col = at.lane; col < cols; col += at.lanes) {
        float sum = 0;
        for (uint row = rows.first; row < rows.end; row += 1) sum += wide(x[row * cols + col]);
        out[at.group * cols + col] = narrow<T>(sum * rows.share);
    }
}

template <typename T>
FUNCTION void mean_rows_grad(GLOBAL const T *dy, GLOBAL const uint *starts, GLOBAL T *out, Settings settings,
                             Place at) {
    const uint cols = settings.counts[1];
    const Rows rows = rows_of(starts, settings, at);
    for (uint col = at.lane; col < cols; col += at.lanes) {
        const float share = wide(dy[at.group * cols + col]) * rows.share;
        for (uint row = starts[at.group]; row < rows.end; row += 1) {
            out[row * cols + col] = narrow<T>(row < rows.first ? 0 : share);
        }
    }
}

#define POOL(T)                                                                                                        \
    KERNEL(mean_rows_##T, IN(T, x, 0), IN(uint, starts, 1), OUT(T, out, 2), SETTINGS(3)) {                             \
        mean_rows<T>(x, starts, out, settings, HERE);                                                                  \
    }                                                                                                                  \
    KERNEL(mean_rows_grad_##T, IN(T, dy, 0), IN(uint, starts, 1), OUT(T, out, 2), SETTINGS(3)) {                       \
        mean_rows_grad<T>(dy, starts, out, settings, HERE);                                                            \
    }
FOR_NUMBERS(POOL)
