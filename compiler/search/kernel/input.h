/* ---- input ---- */

static int64_t take(const int64_t **at) { return *(*at)++; }

static int alike(const S *s, int d, int e) {
    if (s->bound[d] != s->bound[e]) return 0;
    for (int a = 0; a < s->A; a++)
        if ((s->allowed[a] >> d & 1) != (s->allowed[a] >> e & 1)) return 0;
    for (int o = 0; o < s->O; o++)
        if (s->class[o][d] != s->class[o][e]) return 0;
    return 1;
}

static int same_windows(const Win *x, const Win *y) {
    size_t size = sizeof(int64_t) * 2 * x->nd[0] * x->nd[1];
    if (x->nd[0] != y->nd[0] || x->nd[1] != y->nd[1]) return 0;
    if (x->step[0] != y->step[0] || x->step[1] != y->step[1] || x->offset != y->offset || x->size != y->size) return 0;
    return !memcmp(x->words, y->words, size) && !memcmp(x->largest, y->largest, size) && (!x->first || !memcmp(x->first, y->first, size));
}

static int alike_groups(const S *s, int g, int h) {
    if (s->gdims[g] != s->gdims[h]) return 0;
    for (int d = 0; d < s->gdims[g]; d++)
        if (!alike(s, s->gdim[g][d], s->gdim[h][d])) return 0;
    for (int o = 0; o < s->O; o++) {
        int w = s->wtable[o][g], v = s->wtable[o][h];
        if ((w < 0) != (v < 0) || (w >= 0 && !same_windows(&s->win[w], &s->win[v]))) return 0;
    }
    return 1;
}

static void find_kinds(S *s) {
    for (int g = 0; g < s->G; g++) {
        int h = 0;
        while (!alike_groups(s, h, g)) h++;
        s->gkind[g] = h;
        for (int d = 0; d < s->gdims[g]; d++) s->dkind[s->gdim[g][d]] = s->gdim[h][d];
    }
}

static double take_double(const int64_t **at) {
    double x;
    memcpy(&x, (*at)++, sizeof x);
    return x;
}

static void read_work(Work *w, const int64_t **at) {
    w->mark = take(at), w->kind = take(at), w->fifo = take(at), w->room = take_double(at), w->unit = take_double(at);
    w->n = take(at);
    w->alike = 1;
    for (int l = 0; l < w->n; l++) {
        Load *x = &w->load[l];
        x->port = take(at), x->words = take(at), x->back = take(at), x->first = take(at), x->ahead = take(at);
        x->each = take_double(at), x->once = take_double(at), x->less = take_double(at);
        if (x->words != w->load->words || x->first != w->load->first || x->less) w->alike = 0;
    }
}

/* Works in the order of their marks. */
static void read_works(Setting *t, const int64_t **at) {
    t->price = take_double(at);
    t->compute = take(at);
    t->nworks = take(at);
    for (int i = 0; i < t->nworks; i++) read_work(&t->work[i], at);
    for (int m = 0, i = 0; m <= t->nmarks + 1; m++) {
        while (i < t->nworks && t->work[i].mark < m) i++;
        t->from[m] = i;
    }
}

static void find_plain(const S *s, Setting *t) {
    for (int i = 0; i < t->nworks; i++) {
        Work *w = &t->work[i];
        w->plain = w->kind != MACS;
        for (int g = 0; g < s->G && w->plain; g++) w->plain = s->wtable[t->operand[w->mark]][g] < 0;
    }
}

static void read_phases(Setting *t, const int64_t **at) {
    for (int m = 0; m < t->nmarks; m++) t->events[m] = take(at), t->level[m] = take(at), t->stops[m] = take(at);
    for (int m = 0; m < t->nmarks; m++)
        for (int o = 0; o < t->nmarks && t->stops[m]; o++) t->between[m][o] = take(at);
}

static void read_setting(S *s, Setting *t, const int64_t **at) {
    t->family = take(at), t->twin = take(at);
    t->nmarks = take(at);
    for (int m = 0; m < t->nmarks; m++) {
        t->operand[m] = take(at);
        t->fixed[m] = take(at);
        t->padded[m] = take(at);
        int64_t bits = take(at);
        t->first[m] = bits & 1;
        t->shut[m] = (int)(bits >> 1);
    }
    for (int m = 0; m < t->nmarks; m++) t->weight[m] = (double)take(at);
    t->nterms = take(at);
    for (int j = 0; j < t->nterms; j++) {
        Term *x = &t->term[j];
        x->coefficient = (double)take(at);
        x->operand = take(at);
        x->mark = take(at);
        x->irr = take(at);
        x->win = take(at);
        x->padding = take(at);
        x->slide = take(at);
        x->kind = take(at);
        x->own = take(at);
    }
    t->constant = (double)take(at);
    t->ncaps = take(at);
    for (int k = 0; k < t->ncaps; k++) {
        t->limit[k] = (double)take(at);
        t->held[k] = take(at);
        for (int m = 0; m < MAXM; m++)
            if (t->held[k] >> m & 1) t->holds[k][t->nholds[k]++] = m;
    }
    read_works(t, at);
    find_plain(s, t);
    if (s->every && s->timed) read_phases(t, at);
}

static void read_dims(S *s, const int64_t **at) {
    for (int d = 0; d < s->D; d++) {
        s->bound[d] = take(at);
        s->group[d] = take(at);
        s->gdim[s->group[d]][s->gdims[s->group[d]]++] = d;
        s->divindex[d] = malloc(sizeof(short) * (s->bound[d] + 1));
        for (int i = 1; i <= s->bound[d]; i++)
            if (s->bound[d] % i == 0) {
                s->divindex[d][i] = s->ndiv[d];
                s->div[d][s->ndiv[d]++] = i;
            }
    }
}

/* Axes of one level are one fan-out. */
static void note_fanout(S *s, const int *level, int axis) {
    int f = 0, known = 0;
    for (int a = 0; a < axis; a++)
        if (level[a] == level[axis] && s->size[a] > 1) known |= 1 << a;
    while (f < s->F && !(s->fanaxes[f] & known)) f++;
    if (!s->fanaxes[f]) s->F++;
    s->fanaxes[f] |= 1 << axis;
}

static void read_window(const S *s, Win *x, const int64_t **at) {
    x->dim[0] = take(at), x->dim[1] = take(at), x->modulus = take(at), x->reach = take(at);
    x->touched[0] = (double)take(at), x->touched[1] = (double)take(at);
    x->step[0] = take(at), x->step[1] = take(at), x->offset = take(at), x->size = take(at);
    if (x->dim[1] < 0) x->step[1] = 1;
    measure_borders(s, x);
}

static void read_problem(S *s, const int64_t *at) {
    s->D = take(&at), s->G = take(&at), s->A = take(&at), s->O = take(&at), s->W = take(&at), s->NS = take(&at);
    s->relaxed = take(&at), s->whole = s->relaxed == 2 || (s->relaxed && !s->W);
    s->timed = take(&at), s->ports = take(&at), s->fewest = (double)take(&at), s->least = take_double(&at);
    s->slowest = (double)take(&at), s->every = take(&at), s->fanout = take(&at);
    for (int i = (int)take(&at); i > 0; i--) {
        double energy = take_double(&at), cycles = take_double(&at);
        add_point(s, (Point){energy, cycles});
    }
    read_dims(s, &at);
    int level[MAXA];
    for (int a = 0; a < s->A; a++) {
        s->size[a] = take(&at), s->allowed[a] = take(&at), level[a] = take(&at);
        if (s->size[a] > 1) note_fanout(s, level, a);
    }
    for (int o = 0; o < s->O; o++) {
        for (int d = 0; d < s->D; d++) s->class[o][d] = take(&at);
        for (int g = 0; g < s->G; g++) s->wtable[o][g] = take(&at);
    }
    for (int w = 0; w < s->W; w++) {
        Win *x = &s->win[w];
        x->outside = take(&at);
        if (s->whole) {
            read_window(s, x, &at);
            continue;
        }
        x->nd[0] = take(&at);
        x->nd[1] = take(&at);
        x->words = at;
        at += 2 * x->nd[0] * x->nd[1];
        x->largest = at;
        at += 2 * x->nd[0] * x->nd[1];
        if (s->relaxed) continue;
        x->first = at;
        at += 2 * x->nd[0] * x->nd[1];
        if (!s->fanout) continue;
        x->dim[0] = take(&at), x->dim[1] = take(&at);
        x->step[0] = take(&at), x->step[1] = take(&at), x->offset = take(&at), x->size = take(&at);
        x->counted = calloc(1, sizeof *x->counted);
    }
    s->setting = calloc(s->NS + 1, sizeof(Setting));
    find_kinds(s);
    for (int i = 0; i < s->NS; i++) {
        read_setting(s, &s->setting[i], &at);
        set_base(s, &s->setting[i]);
    }
    find_mirror(s);
    s->start = at;
    for (int i = 0; i < s->NS; i++)
        if (s->setting[i].twin >= 0) s->setting[s->setting[i].twin].light = 1;
}

static void release(S *s) {
    for (int i = 0; i < s->ntables; i++) {
        free(s->tables[i]->row);
        free(s->tables[i]->chain[0]);
        free(s->tables[i]->chain[1]);
        free(s->tables[i]);
    }
    for (int i = 0; i < s->nlists; i++) {
        free(s->lists[i]->trips);
        free(s->lists[i]->factor);
        free(s->lists[i]);
    }
    for (int d = 0; d < s->D; d++) free(s->divindex[d]);
    for (int w = 0; w < s->W; w++) forget_counted(&s->win[w]);
    for (int w = 0; w < s->W; w++) free(s->win[w].least), free(s->win[w].beyond[0]), free(s->win[w].beyond[1]);
    free(s->tables);
    free(s->lists);
    free(s->placement);
    free(s->setting);
    for (int i = 0; i < s->nplans; i++) {
        for (int d = 0; d < s->D; d++) free(s->plan[i].known[d].value);
        free(s->plan[i].known);
        free_forms(s, s->plan[i].form);
    }
    free(s->plan);
    forget_empty(s);
    free(s->late);
    free(s->program);
    free(s->data);
    free(s->front);
}
