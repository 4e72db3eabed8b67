"""All that comes after rule evaluate: results, samples, tables, statistics, comparisons, report, exports."""
