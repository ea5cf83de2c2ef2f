"""The figures as tables, which terminal, JSON, CSV and workbook share."""
