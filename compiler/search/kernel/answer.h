/* ---- the schedule that was found ---- */

static void add_loop(Answer *answer, int dim, int in_time, int at, int trips) {
    answer->loop[answer->nloops++] = (Loop){dim, in_time, at, trips};
}

/* The loops of ragged chains, those of a dim outermost first. */
static void write_loops(const S *s, Answer *answer) {
    for (int d = 0; d < s->D; d++)
        for (int i = 1; i <= s->bestloops[d][0]; i++) {
            int loop = s->bestloops[d][i], station = loop % 64, slot = station < AXIS;
            int at = slot ? s->bestplan->form[d].slots.segment[station] : station - AXIS;
            add_loop(answer, d, slot, at, loop / 64);
        }
}

static void write_chains(const S *s, Answer *answer) {
    for (int g = 0; g < s->G; g++)
        for (int d = 0; d < s->gdims[g]; d++) {
            const Table *t = s->quick ? s->placement[s->bestplace].table[g] : s->besttable[g];
            const Chains *c = t->chains[d];
            const int *trips = s->quick ? s->quicktrips[g][d] : c->trips + t->chain[d][s->bestrow[g]] * (c->slots.nslots + s->A);
            for (int k = 0; k < c->slots.nslots + s->A; k++) {
                int slot = k < c->slots.nslots;
                if (trips[k] > 1) add_loop(answer, s->gdim[g][d], slot, slot ? t->slots[d].segment[k] : k - c->slots.nslots, trips[k]);
            }
        }
}

static void write_answer(const S *s, Answer *answer) {
    const Plan *plan = s->bestplan;
    const Placement *place = plan ? NULL : &s->placement[s->bestplace];
    const int *marks = plan ? plan->order : place->order;
    answer->setting = plan ? plan->setting : place->setting;
    answer->nmarks = s->setting[answer->setting].nmarks;
    for (int i = 0; i < answer->nmarks; i++) answer->mark[i] = marks[i] + 256 * (plan ? plan->sweeps.dim[marks[i]] : 0);
    answer->nloops = 0;
    if (plan) write_loops(s, answer);
    else write_chains(s, answer);
}
