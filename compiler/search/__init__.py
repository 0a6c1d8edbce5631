"""The search: from a nest and a target to a schedule with a certificate."""

from effc.compiler.search.result import Best as Best
from effc.compiler.search.result import Certificate as Certificate
from effc.compiler.search.solve import search as search
