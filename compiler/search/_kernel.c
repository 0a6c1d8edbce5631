/* The exact search of docs/search.md: placements, tables of undominated rows, depth-first search, in rounds.
 *
 * solve(problem, most, budget, deadline, judge) -> (found, value, lower bound, setting, order of marks, loops, statistics)
 *
 * The problem is an array of int64 that encode.py writes and kernel/input.h reads. What is found is the least value, if
 * that is at most `most`.
 * All sums of products that matter are below 2^53, so that doubles hold them exactly.
 *
 * Here is what it has to do with the interpreter of Python. The search itself is in the headers, which "translated" reads, too.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <time.h>

#include "kernel/search.h"

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int interrupted(void) { return PyErr_CheckSignals() != 0; }

static PyObject *marks_of(const Answer *answer) {
    PyObject *list = PyList_New(answer->nmarks);
    for (int i = 0; i < answer->nmarks; i++) PyList_SET_ITEM(list, i, PyLong_FromLong(answer->mark[i]));
    return list;
}

static PyObject *loops_of(const Answer *answer) {
    PyObject *list = PyList_New(answer->nloops);
    for (int i = 0; i < answer->nloops; i++) {
        const Loop *loop = &answer->loop[i];
        PyList_SET_ITEM(list, i, Py_BuildValue("(iiii)", loop->dim, loop->in_time, loop->at, loop->trips));
    }
    return list;
}

static double ask(S *s, const Answer *answer, double energy, double cycles) {
    PyObject *judge = s->judge, *said;
    double most = -1;
    said = PyObject_CallFunction(judge, "iNNdd", answer->setting, marks_of(answer), loops_of(answer), energy, cycles);
    if (said) most = PyFloat_AsDouble(said);
    Py_XDECREF(said);
    if (PyErr_Occurred()) s->stopped = 2;
    return most;
}

static PyObject *statistics(const S *s) {
    const int64_t *n = s->discarded;
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L,s:i}", "nodes", s->nodes + s->pairs, "alike", n[ALIKE], "capacity",
                         n[LARGE], "bound", n[COSTLY], "dominance", n[DOMINATED], "boxes", n[EMPTY], "stopped",
                         s->stopped | s->partial);
}

/* (found, value, bound, setting, order of marks, loops, statistics) */
static PyObject *result(const S *s) {
    Answer answer;
    if (!s->found) return Py_BuildValue("(Oddi[][]N)", Py_False, s->best, s->lower, 0, statistics(s));
    write_answer(s, &answer);
    return Py_BuildValue("(OddiNNN)", Py_True, s->best, s->lower, answer.setting, marks_of(&answer), loops_of(&answer),
                         statistics(s));
}

static PyObject *solve(PyObject *self, PyObject *args) {
    Py_buffer problem;
    double most, deadline;
    long long budget;
    PyObject *judge = Py_None;
    if (!PyArg_ParseTuple(args, "y*dLd|O", &problem, &most, &budget, &deadline, &judge)) return NULL;
    S *s = calloc(1, sizeof *s);
    s->judge = judge == Py_None ? NULL : judge;
    s->data = malloc(problem.len + 8);
    memcpy(s->data, problem.buf, problem.len);
    PyBuffer_Release(&problem);
    search(s, s->data, most, budget, deadline);
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
