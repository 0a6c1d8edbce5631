/* ---- what the search asks of the interpreter that runs it: see _kernel.c, and translated/kernel.py ---- */

enum { MOST_LOOPS = MAXG * 2 * (MAXS + MAXA) };

typedef struct {
    int dim, in_time, at, trips; /* at: a segment, or an axis; trips: or the step */
} Loop;

/* A schedule: marks in their order, from which a dim sweeps that has one more than its number times 256; loops. */
typedef struct {
    int setting, nmarks, mark[MAXM];
    int nloops;
    Loop loop[MOST_LOOPS];
} Answer;

/* UTC, in seconds. */
static double now(void);

/* Whether the user wants to stop. */
static int interrupted(void);

/* The judge's answer to a schedule with so much energy and so many cycles; sets `stopped` if there is none. */
static double ask(S *s, const Answer *answer, double energy, double cycles);

/* What was found last; see answer.h. */
static void write_answer(const S *s, Answer *answer);
