-- AlterTable
ALTER TABLE "Structure" ADD COLUMN     "expert" INTEGER,
ADD COLUMN     "leastLeft" INTEGER;
