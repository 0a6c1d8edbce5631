/* What the stepper walks through: the loops of a schedule, the instances of a level, the words of their tiles; written
   from docs/semantics.md alone, as walk.py is. `set_up.c` and `stepper.c` follow in the same translation unit.

   The place of a word is linear in the digits of the loops: `at[loop]` is what one step of a loop adds. Of a read
   operand it is the place in the tensor, padding included, wherever the word lies; of the output it is the place in the
   tensor at the outermost level, elsewhere that among the tiles of all instances of the level. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LOOPS = 96, MAX_DIMS = 12, MAX_LEVELS = 8, MAX_OTHERS = 16 };
enum { I, W, O, B, E, OPERANDS }; /* E: what an epilogue reads */
enum { NONE, TILES, WORDS };      /* whom one read of the parent serves, along an axis */

typedef struct {
    int dim, level, multicast; /* level: the one above the fan-out of a par; -1: a loop in time */
    int64_t step, trips;
} Loop;

/* An axis of an operand: it reaches `extent` indices, padding included, `step` words apart. */
typedef struct {
    int64_t step, extent;
    int dim_count, dims[MAX_DIMS];
} Axis;

/* The dims of one axis of an operand, or a dim that is not relevant to it. A tile is the product of its parts. */
typedef struct {
    int has_dim[MAX_DIMS], dims[MAX_DIMS], dim_count, relevant;
    int last;                   /* the innermost temporal loop outside the mark that matters to it; -1: none does */
    int64_t combinations, most; /* of mesh digits; coordinates of the largest tile */
    int32_t *combination;       /* of every instance */
    int64_t *size;              /* of every combination: how many coordinates, */
    int64_t *here, *there;      /* and what each adds to the place of a word at the level, and at its parent */
} Part;

typedef struct {
    double value;
    int64_t parent; /* the place of the word at the parent */
    uint64_t stamp;
    int held;
} Psum;

/* An operand at a level. The MACs are the innermost child, at a level behind the last one. */
typedef struct Residence {
    int operand, level, part_count;
    int fixed, fill; /* the temporal loops outside the mark; outside the fill position */
    struct Residence *parent;
    int is_fixed[MAX_LOOPS];
    int64_t at[MAX_LOOPS], instances, most; /* most: words of the largest tile */
    Part parts[MAX_DIMS];
    int64_t *order, *group, *set; /* instances, those of a group together, of these those of a set; see `close_set` */
    int shared;                   /* a group has several instances */
    int64_t *held, *held_count;   /* where windows slide: the words of every instance */
    Psum *psums;                  /* of the output */
    int64_t psum_count;
} Residence;

static int level_count, dim_count, loop_count, time_count, axis_count[OPERANDS], depth_of[OPERANDS];
static int has_fanout[MAX_LEVELS], stores_padding[MAX_LEVELS], slides[MAX_LEVELS];
static Loop loops[MAX_LOOPS];
static Axis axes[OPERANDS][MAX_DIMS];
static int in_time[MAX_LOOPS], chain[MAX_DIMS][MAX_LOOPS], chain_length[MAX_DIMS];
static int64_t bound[MAX_DIMS], digit[MAX_LOOPS];
static int64_t word_step[OPERANDS][MAX_DIMS], words[OPERANDS]; /* word_step: 0 where a dim is not relevant */
static Residence kept_at[OPERANDS][MAX_LEVELS + 1], mesh;      /* outermost first, the MACs last; all MACs */
static uint32_t *seen[OPERANDS], set_stamp[OPERANDS];          /* a word is in the set of now if it has its stamp */

/* Memory, zeros at first, which is given back at the end of a run */

static void **blocks;
static int64_t block_count;

static void *get(int64_t count, size_t size)
{
    void *block = calloc(count + 1, size);
    blocks = realloc(blocks, (block_count + 1) * sizeof *blocks);
    if (block == NULL || blocks == NULL) abort();
    return blocks[block_count++] = block;
}

static void give_back(void)
{
    while (block_count) free(blocks[--block_count]);
}

/* A stamp that no word has. */
static void new_stamp(uint32_t *stamps, uint32_t *current, int64_t size)
{
    if (++*current) return;
    memset(stamps, 0, size * sizeof *stamps);
    *current = 1;
}

/* Instances are numbered by the digits of the pars above their level, the first the most significant */

static int is_mesh_digit(const Residence *r, int loop)
{
    return loops[loop].level >= 0 && loops[loop].level < r->level;
}

static int64_t mesh_digit(const Residence *r, int64_t instance, int loop)
{
    for (int inner = loop_count - 1; inner > loop; inner--)
        if (is_mesh_digit(r, inner)) instance /= loops[inner].trips;
    return instance % loops[loop].trips;
}

/* Tiles */

/* The coordinates of a part that the free digits reach, the fixed ones given; those of several dims that differ. */
static void reach(const Residence *r, Part *part, int64_t c, int d, int depth, int64_t rest, int64_t here,
                  int64_t there)
{
    int dim = part->dims[d];
    if (depth == chain_length[dim] && d + 1 < part->dim_count) {
        reach(r, part, c, d + 1, 0, bound[part->dims[d + 1]], here, there);
    } else if (depth == chain_length[dim]) {
        if (part->dim_count > 1 && seen[r->operand][here] == set_stamp[r->operand]) return;
        if (part->dim_count > 1) seen[r->operand][here] = set_stamp[r->operand];
        int64_t place = c * part->most + part->size[c]++;
        part->here[place] = here;
        part->there[place] = there;
    } else {
        int loop = chain[dim][depth];
        int64_t first = r->is_fixed[loop] ? digit[loop] : 0, step = loops[loop].step;
        int64_t last = r->is_fixed[loop] || !part->relevant ? first : loops[loop].trips - 1;
        int64_t above = r->parent ? r->parent->at[loop] : 0;
        for (int64_t i = first; i <= last && i * step < rest; i++) {
            int64_t left = rest - i * step < step ? rest - i * step : step;
            reach(r, part, c, d, depth + 1, left, here + i * r->at[loop], there + i * above);
        }
    }
}

/* The coordinates of the parts that loop `changed`, or one inside it, moves. Whether other instances are busy. */
static int refresh(Residence *r, int changed)
{
    int differs = 0;
    for (Part *part = r->parts; part < r->parts + r->part_count; part++) {
        if (part->last < changed) continue;
        for (int64_t c = 0; c < part->combinations; c++) {
            int64_t before = part->size[c], rest = c;
            for (int loop = loop_count - 1; loop >= 0; loop--) {
                if (!part->has_dim[loops[loop].dim] || !is_mesh_digit(r, loop)) continue;
                digit[loop] = rest % loops[loop].trips;
                rest /= loops[loop].trips;
            }
            part->size[c] = 0;
            if (part->dim_count > 1) new_stamp(seen[r->operand], &set_stamp[r->operand], words[r->operand]);
            reach(r, part, c, 0, 0, bound[part->dims[0]], 0, 0);
            differs |= part->size[c] != before;
        }
    }
    return differs;
}

/* List the places of an instance's words, at the level or at its parent. How many there are; none if it is idle. */
static int64_t list_tile(const Residence *r, int64_t instance, int at_parent, int64_t *list)
{
    int64_t length = 1;
    list[0] = 0;
    for (const Part *part = r->parts; part < r->parts + r->part_count; part++) {
        int64_t c = part->combination[instance], size = part->size[c];
        const int64_t *coordinates = (at_parent ? part->there : part->here) + c * part->most;
        if (size == 0) return 0;
        for (int64_t i = length - 1; i >= 0; i--)
            for (int64_t j = size - 1, start = list[i]; j >= 0; j--) list[i * size + j] = start + coordinates[j];
        length *= size;
    }
    return length;
}
