"""The charts of the HTML report, drawn by matplotlib on `canvas`: of a verdict, of a recording, and of both.

Every figure in them is also in the table beneath. What is told apart by colour differs in shape or fill as well.
Importing any of them costs matplotlib: only `reports.html` does.
"""
