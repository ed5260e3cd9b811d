// What all kernels share. They are written in the words of a prelude, one for each kind of GPU.

// What a launch states besides its tensors; each kernel says what the numbers are.
struct Settings {
    uint counts[12];
    float numbers[8];
};

// A thread among those that run with it.
struct Place {
    // Its number in its group, and how many the group has: a power of two.
    uint lane;
    uint lanes;
    // The number of its group.
    uint group;
};

// The most threads of a group.
#define MOST_LANES 256
// Elements for each thread of a kernel that goes through elements.
#define EACH 4

// Entry points of a kernel for each kind of number.
#define FOR_NUMBERS(ENTRY)                                                                                             \
    ENTRY(f32)                                                                                                         \
    ENTRY(f16)                                                                                                         \
    FOR_BF16(ENTRY)

// The sum of what the threads of a group have, to all of them.
FUNCTION float group_sum(float value, GROUP float *shared, Place at) {
    // What was there before has been read.
    BARRIER();
    shared[at.lane] = value;
    for (uint reach = at.lanes / 2; reach > 0; reach /= 2) {
        BARRIER();
        if (at.lane < reach) shared[at.lane] += shared[at.lane + reach];
    }
    BARRIER();
    return shared[0];
}

// The largest of what the threads of a group have, to all of them.
FUNCTION float group_max(float value, GROUP float *shared, Place at) {
    BARRIER();
    shared[at.lane] = value;
    for (uint reach = at.lanes / 2; reach > 0; reach /= 2) {
        BARRIER();
        if (at.lane < reach) shared[at.lane] = max(shared[at.lane], shared[at.lane + reach]);
    }
    BARRIER();
    return shared[0];
}

// The first element of a thread that goes through elements; the others follow at a group's distance.
FUNCTION uint first_element(Place at) { return at.group * at.lanes * EACH + at.lane; }

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

// Of strips of `size` rows.
FUNCTION Strip strip_of(uint rows, uint cols, uint size, Place at) {
    const uint blocks = (cols + COLUMNS - 1) / COLUMNS;
    const uint number = at.group / blocks, first = number * size;
    return Strip{number, at.group % blocks * COLUMNS + at.lane % COLUMNS, first + at.lane / COLUMNS,
                 min(first + size, rows)};
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
