"""The search: from a nest and a target to a schedule with a certificate."""

from effc.compiler.search.find import search as search
from effc.compiler.search.result import Best as Best
from effc.compiler.search.result import Certificate as Certificate
