/* The exact search of docs/search.md: placements, tables of undominated rows, depth-first search, in rounds.
 *
 * solve(problem, most, budget, deadline, judge) -> (found, value, lower bound, setting, order of marks, loops, statistics)
 *
 * The problem is an array of int64 that encode.py writes and kernel/input.h reads. What is found is the least value, if
 * that is at most `most`.
 * All sums of products that matter are below 2^53, so that doubles hold them exactly.
 */
#include "kernel/types.h"

#include "kernel/phases.h"

#include "kernel/cycles.h"

#include "kernel/settled.h"

#include "kernel/chains.h"

#include "kernel/windows.h"

#include "kernel/borders.h"

#include "kernel/forms.h"

#include "kernel/limits.h"

#include "kernel/costs.h"

#include "kernel/program.h"

#include "kernel/rows.h"

#include "kernel/planes.h"

#include "kernel/interior.h"

#include "kernel/tangent.h"

#include "kernel/geometric.h"

#include "kernel/plans.h"

#include "kernel/sweeps.h"

#include "kernel/least.h"

#include "kernel/empty.h"

#include "kernel/known.h"

#include "kernel/unfinished.h"

#include "kernel/worth.h"

#include "kernel/ragged.h"

#include "kernel/relax.h"

#include "kernel/dominance.h"

#include "kernel/tables.h"

#include "kernel/placement.h"

#include "kernel/each.h"

#include "kernel/join.h"

#include "kernel/boxes.h"

#include "kernel/best_first.h"

#include "kernel/whole.h"

#include "kernel/quick.h"

#include "kernel/rounds.h"

#include "kernel/input.h"

/* ---- output ---- */

/* The loops of ragged chains: (dim, in time, segment or axis, step), those of a dim outermost first. */
static PyObject *loops_out(S *s) {
    PyObject *list = PyList_New(0);
    for (int d = 0; d < s->D; d++)
        for (int i = 1; i <= s->bestloops[d][0]; i++) {
            int loop = s->bestloops[d][i], station = loop % 64, slot = station < AXIS;
            int at = slot ? s->bestplan->form[d].slots.segment[station] : station - AXIS;
            PyObject *item = Py_BuildValue("(iiii)", d, slot, at, loop / 64);
            PyList_Append(list, item);
            Py_DECREF(item);
        }
    return list;
}

static PyObject *chains_out(S *s) {
    PyObject *list = PyList_New(0);
    for (int g = 0; g < s->G; g++)
        for (int d = 0; d < s->gdims[g]; d++) {
            const Table *t = s->quick ? s->placement[s->bestplace].table[g] : s->besttable[g];
            const Chains *c = t->chains[d];
            const int *trips = s->quick ? s->quicktrips[g][d] : c->trips + t->chain[d][s->bestrow[g]] * (c->slots.nslots + s->A);
            for (int k = 0; k < c->slots.nslots + s->A; k++) {
                int slot = k < c->slots.nslots;
                if (trips[k] == 1) continue;
                int at = slot ? t->slots[d].segment[k] : k - c->slots.nslots;
                PyObject *item = Py_BuildValue("(iiii)", s->gdim[g][d], slot, at, trips[k]);
                PyList_Append(list, item);
                Py_DECREF(item);
            }
        }
    return list;
}

static PyObject *statistics(const S *s) {
    const int64_t *n = s->discarded;
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L,s:i}", "nodes", s->nodes + s->pairs, "alike", n[ALIKE], "capacity",
                         n[LARGE], "bound", n[COSTLY], "dominance", n[DOMINATED], "boxes", n[EMPTY], "stopped",
                         s->stopped | s->partial);
}

static PyObject *loops_found(S *s) { return s->bestplan ? loops_out(s) : chains_out(s); }

static PyObject *marks_found(S *s, int *setting) {
    PyObject *order = PyList_New(0);
    *setting = s->bestplan ? s->bestplan->setting : s->placement[s->bestplace].setting;
    const int *marks = s->bestplan ? s->bestplan->order : s->placement[s->bestplace].order;
    for (int i = 0; i < s->setting[*setting].nmarks; i++) {
        int sweeps = s->bestplan ? s->bestplan->sweeps.dim[marks[i]] : 0; /* one more than the dim */
        PyObject *m = PyLong_FromLong(marks[i] + 256 * sweeps);
        PyList_Append(order, m);
        Py_DECREF(m);
    }
    return order;
}

/* (found, value, bound, setting, order of marks, loops, statistics) */
static PyObject *result(S *s) {
    int setting;
    if (!s->found) return Py_BuildValue("(Oddi[][]N)", Py_False, s->best, s->lower, 0, statistics(s));
    PyObject *order = marks_found(s, &setting);
    return Py_BuildValue("(OddiNNN)", Py_True, s->best, s->lower, setting, order, loops_found(s), statistics(s));
}

static PyObject *solve(PyObject *self, PyObject *args) {
    Py_buffer buffer;
    double start;
    double deadline;
    long long budget;
    PyObject *judge = Py_None;
    if (!PyArg_ParseTuple(args, "y*dLd|O", &buffer, &start, &budget, &deadline, &judge)) return NULL;
    S *s = calloc(1, sizeof *s);
    s->judge = judge == Py_None ? NULL : judge;
    s->worth = INFINITY;
    s->data = malloc(buffer.len + 8);
    memcpy(s->data, buffer.buf, buffer.len);
    PyBuffer_Release(&buffer);
    read_problem(s, s->data);
    s->best = start;
    s->due = deadline;
    if (s->relaxed) s->deadline = deadline;
    for (int i = 0; i < s->NS; i++) {
        int order[MAXM] = {0};
        interleave(s, i, order, 0, 0);
    }
    s->budget = budget;
    s->deadline = deadline;
    if (s->whole) search_plans(s, start);
    else search_rounds(s, start);
    PyObject *out = s->stopped == 2 ? NULL : result(s);
    release(s);
    free(s);
    return out;
}

static PyMethodDef methods[] = {{"solve", solve, METH_VARARGS, "Minimise a problem."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, methods};
PyMODINIT_FUNC PyInit__kernel(void) {
    PyObject *kernel = PyModule_Create(&module);
    if (kernel && PyModule_AddStringConstant(kernel, "DIGEST", DIGEST)) Py_CLEAR(kernel);
    return kernel;
}
