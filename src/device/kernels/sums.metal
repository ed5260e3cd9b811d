// Sums of columns.

// Columns of a group. Its threads are as many for each of some rows.
#define COLUMNS 32

// What a thread sums: a column of some rows.
struct Strip {
    uint number;
    uint col;
    // Its first row, and the end of its strip's.
    uint first;
    uint end;
};

// counts: rows, columns, rows of a strip.
FUNCTION Strip strip_of(Settings settings, Place at) {
    const uint blocks = (settings.counts[1] + COLUMNS - 1) / COLUMNS, size = settings.counts[2];
    const uint number = at.group / blocks, first = number * size;
    return Strip{number, at.group % blocks * COLUMNS + at.lane % COLUMNS, first + at.lane / COLUMNS,
                 min(first + size, settings.counts[0])};
}

// The sum of what the threads of a column have, to the first of them.
FUNCTION float column_sum(float value, GROUP float *shared, Place at) {
    shared[at.lane] = value;
    for (uint reach = at.lanes / 2; reach >= COLUMNS; reach /= 2) {
        BARRIER();
        if (at.lane < reach) shared[at.lane] += shared[at.lane + reach];
    }
    return shared[at.lane];
}

// The sums of each strip of rows, [strips, columns].
template <typename T>
FUNCTION void column_sums(GLOBAL const T *x, GLOBAL float *out, Settings settings, GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    const Strip strip = strip_of(settings, at);
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
