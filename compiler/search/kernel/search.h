/* ---- a whole search ---- */

#include "types.h"

#include "host.h"

#include "phases.h"

#include "cycles.h"

#include "settled.h"

#include "shapes.h"

#include "chains.h"

#include "windows.h"

#include "borders.h"

#include "forms.h"

#include "limits.h"

#include "mirrors.h"

#include "costs.h"

#include "dense.h"
#include "program.h"

#include "rows.h"

#include "planes.h"

#include "hints.h"
#include "interior.h"

#include "tangent.h"

#include "geometric.h"

#include "plans.h"

#include "sweeps.h"

#include "least.h"

#include "empty.h"

#include "known.h"

#include "unfinished.h"

#include "worth.h"

#include "ragged.h"

#include "relax.h"

#include "dominance.h"

#include "tables.h"

#include "placement.h"

#include "bundles.h"

#include "depth_first.h"

#include "alike.h"

#include "each.h"

#include "join.h"

#include "boxes.h"

#include "best_first.h"

#include "walk.h"

#include "whole.h"

#include "quick.h"

#include "rounds.h"

#include "input.h"

#include "answer.h"

/* Minimises a problem, an array of int64 that read_problem() reads; what is found is the least value, if that is at most `most`. */
static void search(S *s, const int64_t *problem, double most, int64_t budget, double deadline) {
    s->worth = INFINITY;
    read_problem(s, problem);
    s->best = most;
    s->due = deadline;
    if (s->relaxed) s->deadline = deadline;
    for (int light = 1; light >= 0; light--)
        for (int i = 0; i < s->NS; i++) {
            int order[MAXM] = {0};
            if (s->setting[i].light == light) interleave(s, i, order, 0, 0);
        }
    s->budget = budget;
    s->deadline = deadline;
    if (s->whole) search_plans(s, most);
    else search_rounds(s, most);
}
