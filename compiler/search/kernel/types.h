/* The problem, and what the search keeps of it. */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of numbers, none of which is NaN: unlike fmax and fmin no calls. */
static inline double larger(double x, double y) { return x > y ? x : y; }

static inline double smaller(double x, double y) { return x < y ? x : y; }

enum { MAXD = 16, MAXG = 16, MAXM = 16, MAXJ = 96, MAXA = 8, MAXO = 6, MAXC = 16, MAXS = 24, MAXF = 8, MAXL = 28, MAXV = 64, MAXR = 512 };
enum { MAXW = 32, MAXN = 8, MAXP = 24 };
enum { IRRELEVANT = 0, PLAIN = 1, WINDOW = 2 };
/* Words: of all instances; of one; of one in the first event; none but events; the loops from one mark to another. */
enum { ALL = 0, BUSIEST, FIRST, EVENTS, BETWEEN };
enum { OVERLAPS = 0, STOPS, MACS };
/* Energy + price x cycles: of the MACs; of all that may be busiest; energy x cycles; energy that is too much on a front. */
enum { STEADY = 0, TIMED, PRODUCT, FRONT };
enum { MOST_PLANS = 20000, MOST_PLACEMENTS = 10000, MOST_RELAXED = 2000, ENOUGH = 200 };

/* Why something is not looked at: it is like another one, too large, costs too much, is dominated; a box is empty. */
enum { ALIKE, LARGE, COSTLY, DOMINATED, EMPTY, RULES, FINE };

#define WIDTH (MAXJ + MAXM + MAXA)

struct Counted;

typedef struct {
    int nd[2];             /* numbers of divisors of both dims */
    int outside;           /* words that a tile at the border may lack */
    const int64_t *words;  /* [padding][a][b] */
    const int64_t *largest, *first;
    int dim[2];            /* of the whole space, see windows.h: the outer dim, and the inner one or -1 */
    int modulus, reach;    /* inner indices are alike modulo this; how far those of one residue reach in outer indices */
    double touched[2];     /* words that are touched, by padding */
    int64_t step[2], offset, size; /* the index is the sum of dims x steps and the offset, from 0 up to the size */
    struct Counted *counted; /* what tiles of any shape have, see shapes.h */
    int inner, alike, low, high, both, one, *least, *beyond[2]; /* the bound of the inner dim, its residues; for the rest see borders.h */
} Win;

typedef struct {
    double coefficient;
    int operand, mark, irr, win, padding;
    int slide; /* 1 + the group whose window slides; 0: none */
    int kind, own; /* what is counted; the axes over which one instance has a part only, or whose instances share identical tiles, or the mark where BETWEEN begins */
} Term;

typedef struct {
    int port, words, back, first; /* terms; of words that return, that of events, of which one starts from zero; -1 */
    int ahead;                    /* the port goes on while the work that the transfer fills is stopped */
    double each, once;            /* cycles of a unit of the terms: of all words, and of the first event's */
    double less;                  /* cycles that all words take less together */
} Load;

typedef struct {
    int mark; /* the number of marks: to and from the MACs */
    int kind;
    int fifo; /* the term of the first event where a FIFO takes words beforehand, or -1 */
    double room, unit; /* words in the FIFO; words of a unit of the term */
    int n;
    Load load[MAXN];
    int alike; /* all loads have the same terms */
    int plain; /* of an operand without windows: words are exact if steps divide */
} Work;

typedef struct {
    int nmarks, nterms, ncaps;
    int operand[MAXM], fixed[MAXM], padded[MAXM], first[MAXM];
    int shut[MAXM]; /* dims that may have no loop in time outside the mark, as bits */
    double weight[MAXM]; /* the room that a word of a mark's tile takes */
    Term term[MAXJ];
    double constant;
    double limit[MAXC];
    int held[MAXC];  /* marks, as bits */
    int nholds[MAXC], holds[MAXC][MAXM]; /* the same as lists */
    double base[MAXG][MAXJ];  /* coefficient x what the other groups do at least; -infinity if it is negative */
    double least[MAXG][MAXJ]; /* what each group does at least */
    double floor;
    int family; /* the first setting that differs in nothing but what slides */
    int twin;   /* the setting in which the bias takes no room, its marks outside all others, or -1; see base_of() */
    int light;  /* whether this is one of those */
    int nworks, compute; /* the term of executed iterations, or -1 */
    Work work[MAXW];
    int from[MAXM + 2];  /* the first work of each mark */
    int events[MAXM];    /* see phases.h: the term of the loops outside each mark */
    int level[MAXM], stops[MAXM], between[MAXM][MAXM]; /* whether fills stop the work; the term of the loops between two marks */
    int nstopping, stopping[MAXM], place[MAXM];        /* those marks; where each stands in the placement at hand */
    double price;        /* of a cycle */
    double rest[MAXG][MAXJ]; /* what the other groups do at least */
} Setting;

typedef struct {
    int nslots;
    int segment[MAXS];
    int outside[MAXM];  /* slots outside each mark */
    int inner[MAXS];    /* slots directly inside a mark that the dim is relevant to */
} Slots;

typedef struct {
    int dim, setting, side;
    Slots slots;
    double excess; /* what it costs at least beyond the least of its group */
    double slack;  /* how much more it may cost: the best less the bounds of the placements that use it */
    double limit;  /* chains that cost more are left out */
    int measuring, built;
    int n;
    int *trips;   /* n x (slots + axes) */
    int *factor;  /* n x (J + M): trips of events, or tile (an index of a divisor for windows); then n x J: instances */
} Chains;

typedef struct {
    int setting, group;
    Slots slots[2];
    Chains *chains[2];
    double excess, slack;
    int built;
    int n, *chain[2];
    double *row; /* n x width */
} Table;

typedef struct {
    int setting;
    int order[MAXM];
    Table *table[MAXG];
    double floor, bound;
    int number;
    int base;     /* the placement that this one costs no less than, or -1 */
    double known; /* what a schedule of it costs, where it is such a base */
} Placement;

typedef struct {
    double energy, cycles;
} Point;

struct Plan;
struct Empty;
struct Late;
struct Program;

__extension__ typedef __int128 Exact;

typedef struct {
    int D, G, A, O, W, NS;
    int timed, ports;
    double fewest;  /* cycles at least */
    double least;   /* energy at least */
    double slowest; /* iterations at most, where nothing but them takes cycles; 0: any number */
    Point *front;  /* what is known, fewest cycles first, least energy last */
    int nfront, cfront;
    int relaxed; /* chains are bounds of all chains, steps of any size: see relax() */
    int whole;   /* steps of any size, and all chains are looked at: see whole.h */
    int every;   /* steps that divide, and no chain stands for another one: see each.h */
    int each;    /* the rows at hand are of that kind */
    const int64_t *start; /* where walks begin: whether all do, the number of loops, the setting, its marks, the loops; see walk.h */
    int fanout;  /* what the last mark of each setting, that of a fan-out whose pars may stand anywhere, has for an operand; 0: none */
    int bound[MAXD], group[MAXD];
    int gdims[MAXG], gdim[MAXG][2];
    int size[MAXA];
    int allowed[MAXA]; /* dims, as bits */
    int F, fanaxes[MAXF]; /* fan-outs, and their axes of more than one instance, as bits */
    int class[MAXO][MAXD];
    int wtable[MAXO][MAXG]; /* window table of an operand in a group, or -1 */
    Win win[MAXO * MAXG];
    int dkind[MAXD], gkind[MAXG]; /* the first dim, or group, that is just like it */
    int mirror[MAXD]; /* of two windows that are just alike, as those of a square image, the dim of the other one; see mirrors.h */
    int ndiv[MAXD], div[MAXD][256];
    short *divindex[MAXD];
    Setting *setting;
    Table **tables;
    int ntables, ctables;
    Chains **lists;
    int nlists, clists;
    Placement *placement;
    int nplace, cplace;
    struct Plan *plan; /* of the whole space */
    int nplans, cplans;
    struct Empty **empty; /* see empty.h */
    int nempty;
    struct Late *late; /* boxes of which not all was looked at in a round, see boxes.h */
    int nlate;
    int64_t *data;
    struct Program *program;
    double worth;    /* the least answer of the judge */
    void *judge;     /* asked what each schedule found costs, if bounds are all that is known here; see host.h */
    /* result */
    double best;
    Exact bestproduct; /* where energy x cycles is known */
    int found, bestplace, bestrow[MAXG];
    int quick, quicktrips[MAXG][2][MAXS + MAXA]; /* found by descent, and the trips of its chains */
    Table *besttable[MAXG];
    const struct Plan *bestplan;
    int bestloops[MAXD][MAXL + 1];
    double bestterms[MAXJ]; /* what each term is there */
    int64_t nodes, pairs, discarded[RULES];
    int partial;      /* there are more placements than were looked at */
    int64_t ticks;    /* since the last look at the clock */
    int64_t work, budget; /* chains and rows looked at, and how many may be; 0: any number */
    double deadline;  /* in UTC; 0: none */
    double due;       /* the same, once there are placements to choose from */
    double lower;     /* no schedule is below it */
    int stopped;      /* 1: out of budget or time, 2: interrupted */
} S;

/* The factors of a chain, and the instances of each term. */
static int factors(const S *s, const Setting *t) { return t->nterms * (1 + (s->timed > 0)) + t->nmarks; }

/* Whether a mark is that of a fan-out whose pars may stand anywhere. */
static int is_fanout(const S *s, const Setting *t, int mark) { return s->fanout && t->operand[mark] == s->fanout; }

static int width(const S *s, const Setting *t) { return t->nterms + t->nmarks + s->A; }

/* Things by their keys, those with the same key by their numbers. */
typedef struct {
    double key;
    int index;
} Ranked;

static int by_key(const void *x, const void *y) {
    const Ranked *a = x, *b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->index - b->index;
}
