-- What was called `acc_norm` divided by bytes: it is `acc_bytes`, and `acc_norm`, by characters, was not measured.
UPDATE "Evaluation" SET result = result - '{normalizedAccuracy,normalizedAccuracyStandardError}'::text[] || jsonb_build_object(
  'byteNormalizedAccuracy', result->'normalizedAccuracy',
  'byteNormalizedAccuracyStandardError', result->'normalizedAccuracyStandardError'
) WHERE result ? 'normalizedAccuracy';

-- Choices are judged without a beginning of the model's own now: one that still waits compares with none from before.
UPDATE "Evaluation" e SET "comparisonKey" = NULL FROM "Dataset" d
WHERE d.id = e."datasetId" AND d.form = 'MULTIPLE_CHOICE' AND e.status IN ('QUEUED', 'RUNNING');
